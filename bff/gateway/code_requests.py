"""Would a browser run the response to this request as code of our origin?

A file of an API, such as an uploaded one, must not act as a script of our pages. `nosniff` and
`sandbox` don't prevent that where the file has the media type of a script.

A page's request for a script tells so, unless the application's own service worker passes it on
(`respondWith(fetch(event.request))`) or the browser is an old one. Then it looks like any other,
and the response loses that media type: with `nosniff`, no browser runs plain text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from werkzeug.datastructures import Headers

from bff.config.route import Route
from bff.core import audit
from bff.core.errors import CodeRefused

CODE_DESTINATIONS = frozenset(
    {"script", "style", "xslt", "worker", "sharedworker", "serviceworker", "audioworklet",
     "paintworklet", "sharedstorageworklet", "speculationrules"}
)  # fmt: skip
"""The script-like destinations of the Fetch Standard, style sheets, and rules for prerendering."""

TYPES_MAX = 256
"""How many media types are remembered; APIs have few."""

_CODE_TYPE = re.compile(
    r"(?:^|,)[ \t]*(?:text/css|(?:text|application)/(?:x-)?(?:java|ecma)script|"
    r"text/(?:javascript1\.[0-5]|jscript|livescript))[ \t]*(?:[;,]|$)",
    re.IGNORECASE,
)
"""WHATWG MIME Sniffing Standard, 4.6; of several types in one header, the last one may count."""


@lru_cache(TYPES_MAX)
def _is_code(types: str) -> bool:
    return _CODE_TYPE.search(types) is not None


def disarm_code(environ: Mapping[str, Any], route: Route, headers: Headers, types: str) -> None:
    """Make a script or a style sheet plain text, where the request doesn't say what it is for.

    Args:
        environ: Has `Sec-Fetch-Dest`, which is `empty` for a script's `fetch()`, too.
        route: Where the response comes from.
        headers: Of the response.
        types: Its media types; there should be one.

    Source: Fetch Standard, "should response to request be blocked due to nosniff?".
    """
    if (
        not route.code
        and environ.get("HTTP_SEC_FETCH_DEST", "empty") == "empty"
        and _is_code(types)
    ):
        _, _, parameters = types.partition(";")
        headers["content-type"] = f"text/plain;{parameters}" if parameters else "text/plain"


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
