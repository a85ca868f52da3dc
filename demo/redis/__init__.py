"""Which Redis does the demo use? A real one that it finds, or an emulation.

`embedded` starts one and stops it, `own` uses one that runs already, `emulation` stands in.
"""
