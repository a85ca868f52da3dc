"""What happens when sessions end? Endpoints end them through `bff/sessions`."""
