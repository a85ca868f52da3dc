"""Which access token does an upstream get? `access_tokens` decides by the mode of the route."""
