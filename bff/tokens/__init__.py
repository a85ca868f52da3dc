"""Which access token does an upstream get? `access_tokens` looks at the mode of the route."""
