"""How fast is the BFF beside what people would use instead, and what does it do right?

`make bench`, or `python -m benchmarks --help`. Needs Debian's apache2 with mod_auth_openidc, nginx,
Redis, wrk and Node; `.ci/bench-peers` installs what is missing.
"""
