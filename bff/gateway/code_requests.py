"""Would a browser run the response to this request as code of our origin?

A file of an API, such as an uploaded one, must not act as a script of our pages. `nosniff` and
`sandbox` don't prevent that where the file has the media type of a script.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bff.config.route import Route
from bff.core import audit
from bff.core.errors import CodeRefused

CODE_DESTINATIONS = frozenset(
    {"script", "style", "xslt", "worker", "sharedworker", "serviceworker", "audioworklet",
     "paintworklet", "sharedstorageworklet"}
)  # fmt: skip
"""The script-like destinations of the Fetch Standard, and style sheets."""


def refuse_code(environ: Mapping[str, Any], route: Route) -> None:
    """Refuse what a page wants to run, unless the route allows it.

    Args:
        environ: Has `Sec-Fetch-Dest`, and `Service-Worker` in browsers without it.
        route: Where the response would come from.

    Raises:
        CodeRefused: It is refused.

    Source: Fetch Standard, 2.2.5; Service Workers, "Service-Worker" header.
    """
    destination = environ.get("HTTP_SEC_FETCH_DEST")
    is_code = destination in CODE_DESTINATIONS or "HTTP_SERVICE_WORKER" in environ
    if is_code and not route.code:
        audit.record("request_refused", "refused", reason="code of a page")
        raise CodeRefused("the browser would run the response as code of our origin")
