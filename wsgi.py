"""What does a WSGI server load? `wsgi:app`."""

from bff import create_app

app = create_app()
