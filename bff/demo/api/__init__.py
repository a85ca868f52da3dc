"""The demo API: what stands behind `/api` when there is no API of your own.

It is a resource server and nothing else: it knows an issuer and an audience, checks the access
token of every request, and shares no code with the BFF. Start it with `python -m bff.demo.api`.
"""
