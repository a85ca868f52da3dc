"""What do the commands of `python -m bff` do? One file each; `main.py` lists them."""
