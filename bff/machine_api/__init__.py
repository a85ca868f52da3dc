"""Which endpoints are for programs? One file for each; none of them reads the cookie."""
