"""What happens when sessions end? Only `sessions` and `tokens` may ask for it."""
