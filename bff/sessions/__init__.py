"""What is the life of a session? `lifecycle` has all of it, and is the only door to end one."""
