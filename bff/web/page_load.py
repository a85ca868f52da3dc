"""Is a request the load of a page in a browser's tab, as a sign-in and the app's own pages must be?

`Sec-Fetch-Mode: navigate` says so: no script can make such a request. A service worker that passes
a page load on (`respondWith(fetch(event.request))`) changes the rest: in Chromium the destination
becomes `empty`, in Firefox the mode becomes `same-origin`, as of a script's fetch. One that makes a
request of its own (`fetch(event.request.url)`, `new Request(event.request, {…})`) sends a fetch in
every browser, with its own script as the referrer. Such are refused, but a person may be looking at
the response.
Source: Fetch Metadata Request Headers, sections 2.1 and 2.2; Service Workers, 4.6 (`respondWith`);
Fetch, "main fetch" (the referrer of a request is its client, in a worker the script).
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Request

from bff.core.errors import MethodNotAllowed, RequestRefused, ServiceWorkerInterferes

PREFETCHES = frozenset({"Sec-Purpose", "Purpose", "X-Moz"})


def refuse_all_but_page_loads(request: Request, methods: Sequence[str] = ("GET",)) -> None:
    """Refuse frames, images, fetches, prefetches and HEAD; an old browser sends none of this.

    Args:
        request: The current one.
        methods: Those that it may have.

    Raises:
        MethodNotAllowed: It has another method.
        ServiceWorkerInterferes: It was a page load, perhaps, before a service worker passed it on.
        RequestRefused: It isn't a page load.
    """
    if request.method not in methods:
        raise MethodNotAllowed(f"only {' and '.join(methods)}", allow=methods)
    if may_be_of_service_worker(request):
        raise ServiceWorkerInterferes
    if not is_page_load(request) or PREFETCHES & set(request.headers.keys()):
        raise RequestRefused("a sign-in is a page load, not a fetch, a frame or a prefetch")


def is_page_load(request: Request) -> bool:
    """Whether *request* loads a page into a tab; without Fetch Metadata it may."""
    mode = request.headers.get("Sec-Fetch-Mode")
    destination = request.headers.get("Sec-Fetch-Dest", "document")
    # `empty` with `navigate` is a page load that a service worker has passed on.
    return mode in (None, "navigate") and (
        destination == "document" or (destination == "empty" and mode == "navigate")
    )


def may_be_of_service_worker(request: Request) -> bool:
    """Whether *request* may be a page load that a service worker has turned into a fetch."""
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode == "navigate" or request.headers.get("Sec-Fetch-Dest") != "empty":
        return False
    return mode == "same-origin" or _comes_from_script(request)


def _comes_from_script(request: Request) -> bool:
    """Whether the referrer is a script, as of what a worker sends, instead of a page."""
    path = (request.referrer or "").partition("?")[0]
    return path.endswith((".js", ".mjs"))
