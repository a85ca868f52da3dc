"""Which endpoints are there for browsers? One file each; those that act use the session cookie."""
