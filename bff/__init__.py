"""A backend-for-frontend: signs people in, keeps their tokens, and makes logout final."""
