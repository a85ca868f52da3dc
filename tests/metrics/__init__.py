"""What `bff serve --metrics-port` shows."""
