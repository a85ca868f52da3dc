"""What do people see of the provider? Three pages, escaped by Jinja, with nothing from outside."""

from urllib.parse import urlencode

from flask import Response, make_response, render_template, request

from demo.provider.settings import UserSettings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# No form-action: browsers apply it to the redirect after the form too, which leaves for the client.

PUSHED_QUERY = "demo.pushed_query"
"""Where `/authorize` finds the query as it came, if it held a reference (see `par`)."""

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
    """Asks whether to sign out, if nothing in the request proves who wants it."""
    return _page(render_template("confirm_logout.html", action=action), 200)


def message_page(title: str, text: str, status: int = 200) -> Response:
    """Says one thing: signed out, or what is wrong with a request."""
    return _page(render_template("message.html", title=title, text=text), status)


def this_request_again() -> str:
    """The action for a form that asks before this request is answered.

    Of a pushed request the reference is enough. Else its parameters go into the query, whichever
    way they came; those of the forms stay out.
    """
    if PUSHED_QUERY in request.environ:
        return f"{request.path}?{request.environ[PUSHED_QUERY]}"
    asked = [pair for pair in request.values.items(multi=True) if pair[0] not in FORM_FIELDS]
    return f"{request.path}?{urlencode(asked)}"


def _page(html: str, status: int) -> Response:
    response = make_response(html, status)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
