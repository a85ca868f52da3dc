"""At which origin does the application believe to be, whatever the proxy in front says?

At that of `APP_BASE_URL`. A server behind a proxy that terminates TLS sees plain http, and a `Host`
that the client writes, or the proxy. Flask and its extensions make addresses of both: a redirect
that adds a slash, `url_for(…, _external=True)`, `request.url`. Behind TLS they would begin with
`http://`, and a link in a mail would lead wherever a forged `Host` says.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

AS_RECEIVED = "bff.as_received"
"""In the WSGI environment: the variables that were replaced, without those that were missing."""
_PORTS = {"http": 80, "https": 443}


def origin_variables(base_url: str) -> dict[str, str]:
    """What a server without a proxy in front writes into the WSGI environment.

    Args:
        base_url: The public origin, such as `https://app.example.com`.

    Source: PEP 3333, "URL Reconstruction".
    """
    parts = urlsplit(base_url)
    return {
        "wsgi.url_scheme": parts.scheme,
        "HTTP_HOST": parts.netloc,
        "SERVER_NAME": parts.hostname or "",
        "SERVER_PORT": str(parts.port or _PORTS[parts.scheme]),
    }


def replace_origin(environ: MutableMapping[str, Any], variables: Mapping[str, str]) -> None:
    """Put *variables* into *environ*; `as_received` tells what was there.

    Args:
        environ: The request; at a second call it keeps what it had before the first.
        variables: Of `origin_variables`.
    """
    received = {name: environ[name] for name in variables if name in environ}
    environ.setdefault(AS_RECEIVED, received)
    environ.update(variables)


def as_received(environ: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variables of the origin as the server wrote them, such as `HTTP_HOST`.

    It has no others, where they have been replaced.
    """
    received: Mapping[str, Any] = environ.get(AS_RECEIVED, environ)
    return received
