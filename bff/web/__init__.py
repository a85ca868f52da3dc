"""Which endpoints are there for browsers? One file each; every one that acts takes the cookie."""
