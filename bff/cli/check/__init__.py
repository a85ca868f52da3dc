"""Is it set up right? `python -m bff check`: one file per question, and the command that asks."""
