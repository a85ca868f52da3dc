"""What does a real Prometheus make of the metrics? `make monitoring` runs this."""
