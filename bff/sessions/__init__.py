"""How are sessions started, loaded, listed and ended? Endpoints call `lifecycle` for all of it."""
