"""Do the chart, the kustomize base and the compose files say what is true of the BFF?"""
