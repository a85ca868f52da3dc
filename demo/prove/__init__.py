"""Is a logout final? `python -m demo.prove` repeats after it everything that worked before.

`command` starts it; `scenarios` lists what is tried; `endings` and `conditions` are how sessions
end; `thief` has the attacks, `rows` their results. The attacked parts are in `installation`, or
run elsewhere (`remote`).
"""
