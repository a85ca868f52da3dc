"""How is the application put together? `factory` has every endpoint, `services` the parts below."""
