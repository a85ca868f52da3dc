"""Which pages does the BFF itself show? Errors, the question before a logout, and a start page.

The templates are in `templates/`. They escape everything, use one stylesheet (`/auth/pages.css`)
and no script (`cookies_unreadable.html` has one), and contain only what is meant for the public.
"""

from pathlib import Path

from flask import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_PACKAGE = Path(__file__).resolve().parent.parent
# A wheel has them in the package, a checkout beside it.
TEMPLATES = next(filter(Path.is_dir, (_PACKAGE / "templates", _PACKAGE.parent / "templates")))
ACCEPT_MAX_CHARACTERS = 1_024
"""Of `Accept` and its like: browsers send about a hundred, and a long list takes long to sort."""
DOCUMENT_DESTINATIONS = frozenset({"document", "iframe", "frame", "embed", "object"})

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def wants_page(request: Request) -> bool:
    """Whether the response to *request* should be a page rather than JSON.

    A navigation gets a page, also if a service worker has changed its destination. Otherwise
    `Sec-Fetch-Dest` decides. Without it, and in the mode `same-origin`, which Firefox says for a
    navigation that a worker passed on, `Accept` must name `text/html`; `*/*`, which every program
    and `fetch` send, is not enough.

    Source: Fetch Metadata Request Headers, sections 2.1 and 2.2.
    """
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode == "navigate":
        return True
    destination = request.headers.get("Sec-Fetch-Dest")
    if destination is not None and mode != "same-origin":
        return destination in DOCUMENT_DESTINATIONS
    if len(request.headers.get("Accept", "")) > ACCEPT_MAX_CHARACTERS:
        return False
    return any(media == "text/html" and quality > 0 for media, quality in request.accept_mimetypes)


def render_error(
    code: str,
    title: str,
    message: str,
    hint: str,
    reference: str,
    status: int,
    *,
    sign_in_url: str | None = None,
    said: str = "",
    other_account: bool = False,
) -> Response:
    """Return the page for an error.

    Args:
        code: The stable code, for support.
        title: The heading: what happened, in a few words.
        message: What happened, in a sentence.
        hint: What to do next.
        reference: Identifies the log line of this error.
        status: The HTTP status.
        sign_in_url: The target of "Sign in"; None for no such button.
        said: The reason that the provider gave.
        other_account: That button leads to a sign-in with another account.
    """
    return _page(
        "error.html",
        status,
        code=code,
        title=title,
        message=message,
        hint=hint,
        reference=reference,
        sign_in_url=sign_in_url,
        said=said,
        sign_in_label="Sign in with another account" if other_account else "Sign in",
    )


def render_cookies_unreadable(code: str, title: str, reference: str, status: int) -> Response:
    """Return the page whose button removes the cookie that hides all others."""
    return _page("cookies_unreadable.html", status, code=code, title=title, reference=reference)


def render_logout_confirm(action: str, form_token: str) -> Response:
    """Return the page that asks before signing out; its button posts *form_token* to *action*."""
    return _page("logout_confirm.html", 200, action=action, form_token=form_token)


def render_no_spa() -> Response:
    """Return the page at `/` while no SPA is configured."""
    return _page("no_spa.html", 200)


def _page(template: str, status: int, **values: str | None) -> Response:
    html = _environment.get_template(template).render(**values)
    headers = {"Cache-Control": "no-store"}
    return Response(html, status, headers, content_type="text/html; charset=utf-8")
