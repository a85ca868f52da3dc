"""How does a program go through a provider's pages as a person would: redirects and forms?"""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

TIMEOUT_SECONDS = 20
MAX_STEPS = 12


def go_through(session: requests.Session, url: str, issuer: str, answers: Mapping[str, str]) -> str:
    """Follow *url* through the pages of *issuer*, and stop before leaving it.

    Args:
        session: The browser's cookies at the provider.
        answers: What is put into fields and pressed of buttons, by their names.

    Returns:
        The address that the provider sends the browser to.

    Raises:
        AssertionError: A page without a form, an error, or no end.
    """
    answer = session.get(url, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    for _ in range(MAX_STEPS):
        if answer.is_redirect:
            location = urljoin(answer.url, answer.headers["Location"])
            if not location.startswith(f"{issuer}/"):
                return location
            answer = session.get(location, allow_redirects=False, timeout=TIMEOUT_SECONDS)
        else:
            answer = _submit(session, answer, answers)
    raise AssertionError(f"the provider's pages don't come to an end: {answer.url}")


def _submit(
    session: requests.Session, page: requests.Response, answers: Mapping[str, str]
) -> requests.Response:
    assert page.status_code == 200, f"{page.status_code}: {page.text[:800]}"
    form = _Form()
    form.feed(page.text)
    assert form.action is not None, f"the page has no form: {page.text[:800]}"
    given = {name: value for name, value in answers.items() if name in form.names}
    return session.post(
        urljoin(page.url, form.action),
        data=form.hidden | given,
        allow_redirects=False,
        timeout=TIMEOUT_SECONDS,
    )


class _Form(HTMLParser):
    """The only form of a page; a button may stand outside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.hidden: dict[str, str] = {}
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found.get("action", "")
        elif tag in ("input", "button") and "name" in found:
            self.names.add(found["name"])
            if found.get("type") == "hidden":
                self.hidden[found["name"]] = found.get("value", "")
