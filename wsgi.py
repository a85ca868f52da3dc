"""What does a WSGI server load? `wsgi:app`."""

from bff.app.factory import create_app

app = create_app()
