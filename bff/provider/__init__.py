"""The OpenID provider: its endpoints, its dialect, and the tokens that it signs.

`create` says which module does what; `auth0` is the example of a provider's quirks.
"""
