"""Does a logout hold? `python -m demo.prove` tries everything again that worked before it.

`command` is where it starts; `scenarios` lists what is tried; `attacks` are a thief's attempts, and
`rows` what comes of each. The parts under attack are in `installation`, or elsewhere (`remote`).
"""
