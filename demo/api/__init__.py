"""The demo API: it serves `/api` in the demo and in tests.

It is a resource server: it checks the access token of every request against an issuer, an audience
and optionally the deny-list. All that it shares with the BFF is `bff.resource_server`, the module
for APIs. Start it with `python -m demo.api`.
"""
