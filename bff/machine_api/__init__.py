"""Which endpoints are there for programs? One file each; none of them looks at the cookie."""
