"""The OpenID provider: its endpoints, its dialect, and the tokens that it signs."""
