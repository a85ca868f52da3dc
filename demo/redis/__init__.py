"""Which Redis does the demo use? A real one that it finds, or an emulation.

`embedded` starts and stops one, `external` uses one that already runs, `emulation` is the fallback.
"""
