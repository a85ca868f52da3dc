"""Which id has a request, in every log, on its response, and at the upstream?

That of a trusted proxy, if it gives one, else our own. An application says how it finds the former
(`bff.gateway.request_ids`); it is looked for at the first use.
"""

from __future__ import annotations

import random

from flask import current_app, request

KEY = "bff.request_id"
"""In the WSGI environment: the id, once it has been asked for."""
EXTENSION = "bff_request_ids"
"""In `Flask.extensions`: a function of the WSGI environment that returns the id."""


def request_id() -> str:
    """The id of the current request, the same at each call."""
    environ = request.environ
    if KEY not in environ:
        find = current_app.extensions.get(EXTENSION)
        environ[KEY] = new_request_id() if find is None else find(environ)
    return str(environ[KEY])


def new_request_id() -> str:
    """A new one: 128 bits in hex."""
    # It isn't secret, and a call to the kernel for each would let another thread run first.
    return f"{random.getrandbits(128):032x}"  # noqa: S311
