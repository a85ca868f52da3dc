"""The demo: an embedded provider, an API, a SPA and a Redis. Nothing outside imports it."""
