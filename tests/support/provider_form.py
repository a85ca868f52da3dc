"""How does a program sign in at the demo provider as a browser would?"""

from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

TIMEOUT_SECONDS = 10


def sign_in_at_provider(
    session: requests.Session, authorize_url: str, username: str, password: str
) -> str:
    """Follow *authorize_url*, fill in the form if one comes, and stop before the client.

    Args:
        session: Keeps the provider's cookie, so that a second sign-in needs no form.
        authorize_url: Where the client redirects the browser to.

    Returns:
        The address that the provider redirects to; it is not followed.

    Raises:
        AssertionError: The provider answered with neither a redirect nor a form, or refused.
    """
    answer = session.get(authorize_url, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    if answer.status_code == 200:
        action = urljoin(authorize_url, form_action(answer.text))
        answer = session.post(
            action,
            data={"username": username, "password": password},
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )
    assert answer.status_code in (302, 303), f"{answer.status_code}: {answer.text[:500]}"
    return answer.headers["Location"]


def form_action(page: str) -> str:
    """The action of the page's first form, unescaped."""
    forms = _Forms()
    forms.feed(page)
    assert forms.actions, "the page has no form"
    return forms.actions[0]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.actions: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "form":
            self.actions.append(dict(attrs).get("action") or "")
