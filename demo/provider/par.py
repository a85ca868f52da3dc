"""How is an authorization request pushed, and what does its reference stand for? `/oauth/par`.

The reference can be used once, for a short time; the requests of the forms don't count as uses.
Source: RFC 9126.
"""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlencode

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc6749.token_endpoint import TokenEndpoint
from flask import Flask, Response, request

from demo.provider.fault_injection import counted
from demo.provider.pages import PUSHED_QUERY
from demo.provider.settings import AUTH_METHODS, ProviderSettings
from demo.provider.state import ProviderState

UNKNOWN = "demo.pushed_unknown"
CREDENTIALS = ("client_secret", "client_assertion", "client_assertion_type")

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def register(app: Flask, state: ProviderState, server: Any) -> None:
    """Add the endpoint, and let `/authorize` accept references, unless PAR is off."""
    if state.settings.par == "off":
        return
    server.register_endpoint(PushEndpoint)

    @counted(state, "par")
    def push() -> Response:
        response: Response = server.create_endpoint_response(PushEndpoint.ENDPOINT_NAME)
        state.counts.add(f"par.{response.status_code}")
        return response

    app.add_url_rule("/oauth/par", view_func=push, methods=["POST"])
    app.wsgi_app = _ResolvesReferences(app.wsgi_app, state)  # type: ignore[method-assign]


class PushEndpoint(TokenEndpoint):  # type: ignore[misc] # Authlib has no types.
    """`POST /oauth/par`: authenticates the client and checks the request."""

    ENDPOINT_NAME = "par"
    CLIENT_AUTH_METHODS = list(AUTH_METHODS)

    def create_endpoint_response(self, oauth_request: Any) -> tuple[int, Any, Any]:
        client = self.authenticate_endpoint_client(oauth_request)
        form = [pair for pair in request.form.items(multi=True) if pair[0] not in CREDENTIALS]
        parameters = dict(form)
        if parameters.get("client_id") != client.client_id or "request_uri" in parameters:
            raise InvalidRequestError("client_id is another, or a request_uri is pushed")
        if not client.check_redirect_uri(parameters.get("redirect_uri", "")):
            raise InvalidRequestError("redirect_uri is not registered")
        state: ProviderState = self.server.state
        seconds = state.settings.par_seconds
        request_uri = state.pushed.push(client.client_id, form, state.now() + seconds)
        body = {"request_uri": request_uri, "expires_in": seconds}
        return 201, body, [("Content-Type", "application/json"), ("Cache-Control", "no-store")]


class _ResolvesReferences:
    """Replaces a reference in the query by the parameters that were pushed."""

    def __init__(self, application: WSGI, state: ProviderState) -> None:
        self._next = application
        self._state = state

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        parameters = parse_qs(query)
        if environ["PATH_INFO"] == "/authorize" and "request_uri" in parameters:
            client_id = parameters.get("client_id", [""])[0]
            opened = self._state.pushed.open(
                parameters["request_uri"][0], client_id, self._state.now()
            )
            environ[PUSHED_QUERY], environ[UNKNOWN] = query, opened is None
            environ["QUERY_STRING"] = urlencode(opened or ())
        return self._next(environ, start_response)


def refusal(settings: ProviderSettings) -> str | None:
    """Why this request to `/authorize` is refused, or None."""
    if request.environ.get(UNKNOWN):
        return "This request_uri is unknown, used up or too old."
    if settings.par == "required" and PUSHED_QUERY not in request.environ:
        return "This application has to push its requests."
    return None


def mark_used(state: ProviderState) -> None:
    """A code was issued for the current request."""
    if PUSHED_QUERY in request.environ:
        state.pushed.use(parse_qs(request.environ[PUSHED_QUERY])["request_uri"][0])
