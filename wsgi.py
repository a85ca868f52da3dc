"""What does a WSGI server load? `wsgi:app`."""

from bff.app import create_app

app = create_app()
