"""The demo: an embedded provider, an API, a SPA and a Redis. The product doesn't import it."""
