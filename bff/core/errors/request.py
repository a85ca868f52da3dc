"""What can be wrong with a request, or with the connection to its upstream?"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from bff.core.errors.root import BFFError


class RouteUnknown(BFFError):
    """No upstream is configured for this path."""

    status, code = 404, "route_unknown"
    message = "There is no such address."
    hint = "Check the address."


class MethodNotAllowed(BFFError):
    """The method is not allowed here (RFC 9110, 15.5.6)."""

    status, code = 405, "method_not_allowed"
    message = "This method is not allowed here."
    hint = "Use another method."

    def __init__(self, detail: str = "", *, allow: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.allow = ", ".join(sorted(allow))
        """The value of the `Allow` header, which a 405 must have."""


class PathRefused(BFFError):
    """The path could be read in two ways, so it is refused and not repaired."""

    status, code = 400, "path_refused"
    message = "This address is not acceptable."
    hint = "Check the address."


class TargetTooLong(PathRefused):
    """Path and query together are longer than we forward (RFC 9110, 15.5.15)."""

    status, code = 414, "target_too_long"
    message = "This address is too long."
    hint = "Use a shorter address."


class RequestRefused(BFFError):
    """The request is malformed, or its framing or headers can't be forwarded safely."""

    status, code = 400, "request_refused"
    message = "This request is not acceptable."
    hint = "Check the request."


class ServiceWorkerInterferes(RequestRefused):
    """A page load came as a fetch, probably passed on by a service worker of the application."""

    code = "service_worker_interferes"
    message = "A service worker of this application stands between your browser and this page."
    hint = (
        "Hold Shift while you reload this page, which goes past the service worker. For the people "
        "who run this application: its service worker must leave page loads to the browser, those "
        "of /auth and /api above all (docs/spa.md, Service workers)."
    )


class LengthRequired(RequestRefused):
    """A chunked body, under a server that can't tell whether it is complete (411)."""

    status, code = 411, "length_required"
    message = "The length of the content must be announced."
    hint = "Send a Content-Length."


class BodyTooLarge(BFFError):
    """The body is larger than the limit (RFC 9110, 15.5.14)."""

    status, code = 413, "body_too_large"
    message = "The content is too large."
    hint = "Send less."


class UpgradeRefused(BFFError):
    """The route does not forward WebSockets."""

    status, code = 501, "upgrade_unsupported"
    message = "WebSockets are not supported here."
    hint = "Use ordinary requests or server-sent events."


class CodeRefused(BFFError):
    """A page would run the upstream's response as its own script, worker or style sheet."""

    status, code = 403, "code_refused"
    message = "Scripts, workers and style sheets don't come from here."
    hint = "Serve them with the app's own files, or set code = true for the route."


class ProxyUnknown(BFFError):
    """A request to `/auth/verify` did not come from a proxy in front of us."""

    status, code = 403, "proxy_unknown"
    message = "Only the proxy in front of this application may ask this."


class CarriedHere(BFFError):
    """A request to `/auth/verify` is about a request that only our own proxy can forward."""

    status, code = 403, "carried_here"
    message = "The proxy in front of this application can't carry this request."
    hint = "Send the request to this application itself."


class UpstreamUnreachable(BFFError):
    """The upstream could not be connected to, or closed before it responded (502)."""

    status, code = 502, "upstream_unreachable"
    message = "The service behind this address can't be reached."
    is_swallowed = False
    """Whether an idle connection broke with it, so that a request of a safe method may go again."""


class ResponseBrokenOff(UpstreamUnreachable, ConnectionResetError):
    """There is half a response. To a server it is a client that has left: nothing to log."""

    errno = errno.ECONNRESET


class UpstreamTimeout(BFFError):
    """The upstream did not respond in time (504)."""

    status, code = 504, "upstream_timeout"
    message = "The service behind this address takes too long."


class LoopDetected(BFFError):
    """An upstream's address leads back to this application (508; RFC 5842, 7.2)."""

    status, code = 508, "upstream_loop"
    message = "The service behind this address is this application itself."
    hint = "Please tell the people who run this application."


class Overloaded(BFFError):
    """The process has no capacity for the request."""

    status, code = 503, "overloaded"
    message = "Too much is going on at the moment."
    retry_after_seconds = 1


class NotFound(BFFError):
    """No such page or file."""

    status, code = 404, "not_found"
    message = "There is no such page."
    hint = "Check the address."


class UserNotFound(BFFError):
    """The request names a user of another issuer; none of those can have a session here."""

    status, code = 404, "user_not_found"
    message = "There is no such user."
    hint = "The issuer must be the provider of this application."
