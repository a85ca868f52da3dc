"""The demo API: what stands behind `/api` when there is no API of your own.

It is a resource server and nothing else: it knows an issuer, an audience and, if it is told, where
dead tokens are listed, and checks the access token of every request. All that it shares with the
BFF is the module that is there for APIs. Start it with `python -m demo.api`.
"""
