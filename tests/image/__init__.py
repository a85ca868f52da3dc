"""Does the image of the Dockerfile serve, as nobody and with a root that can't be written?"""
