"""What the proxy forwards, refuses and writes itself, on real servers."""
