"""How fast is the BFF compared with the alternatives, and what does each of them get right?

`make bench`, or `python -m benchmarks --help`. It needs Debian's apache2 with mod_auth_openidc,
nginx, Redis, wrk and Node; `.ci/bench-peers` installs what is missing.
"""
