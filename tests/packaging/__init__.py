"""Is the wheel whole?"""
