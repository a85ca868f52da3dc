"""What does every part use? Data, errors, the audit log, sealing, background work."""
