"""What does every part use? The model, errors, the audit log, sealing, background work."""
