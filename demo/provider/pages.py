"""Which pages does the provider show? Four, escaped by Jinja, without external resources."""

from urllib.parse import urlencode

from flask import Response, make_response, render_template, request

from demo.provider.settings import UserSettings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# No form-action: browsers also apply it to the redirect after the form, which goes to the client.

PUSHED_QUERY = "demo.pushed_query"
"""The name in the WSGI environ of the original query, if it held a reference (see `par`)."""

FORM_FIELDS = ("username", "password", "confirmed", "one_time_code", "ticket", "skip")


def sign_in_page(
    action: str, username: str, user: UserSettings | None, error: str | None = None
) -> Response:
    """The sign-in form, with the first user's name and password as a hint."""
    page = render_template("sign_in.html", action=action, username=username, user=user, error=error)
    return _page(page, 200 if error is None else 400)


def second_step_page(action: str, ticket: str, code: str, error: str | None = None) -> Response:
    """The form for a one-time code, with the code as a hint."""
    page = render_template("second_step.html", action=action, ticket=ticket, code=code, error=error)
    return _page(page, 200 if error is None else 400)


def confirm_logout_page(action: str) -> Response:
    """Asks for confirmation, if the request may come from another site."""
    return _page(render_template("confirm_logout.html", action=action), 200)


def message_page(title: str, text: str, status: int = 200) -> Response:
    """A message: signed out, or what is wrong with a request."""
    return _page(render_template("message.html", title=title, text=text), status)


def this_request_again() -> str:
    """Return the address of this request, as the action of a form.

    For a pushed request that is its reference. Otherwise the parameters go into the query, whether
    they came in the query or the body, without those of the forms.
    """
    if PUSHED_QUERY in request.environ:
        return f"{request.path}?{request.environ[PUSHED_QUERY]}"
    requested = [pair for pair in request.values.items(multi=True) if pair[0] not in FORM_FIELDS]
    return f"{request.path}?{urlencode(requested)}"


def _page(html: str, status: int) -> Response:
    response = make_response(html, status)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
