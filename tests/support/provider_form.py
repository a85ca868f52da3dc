"""How does a program sign in at the demo provider as a browser would?"""

from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

from demo.provider.second_step import ONE_TIME_CODE

TIMEOUT_SECONDS = 30
MAX_FORMS = 2


def sign_in_at_provider(
    session: requests.Session,
    authorize_url: str,
    username: str,
    password: str,
    *,
    second_step: Mapping[str, str] = {"one_time_code": ONE_TIME_CODE},  # noqa: B006 - Only read.
) -> str:
    """Follow *authorize_url*, fill in the forms, and stop before the client.

    Args:
        session: Stores the provider's cookie, so that a second sign-in needs no form.
        authorize_url: The address to which the client redirects the browser.
        username, password: For the first form.
        second_step: For the form that `acr_values` request.

    Returns:
        The address that the provider redirects to; it is not followed.

    Raises:
        AssertionError: The response was neither a redirect nor a form, or a refusal.
    """
    response = session.get(authorize_url, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    for _ in range(MAX_FORMS):
        if response.status_code != 200:
            break
        form = _Forms.of(response.text)
        filled = second_step if "one_time_code" in form.names else _named(username, password)
        response = session.post(
            urljoin(authorize_url, form.actions[0]),
            data={**form.hidden, **filled},
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )
    assert response.status_code in (302, 303), f"{response.status_code}: {response.text[:500]}"
    return response.headers["Location"]


def form_action(page: str) -> str:
    """The action of the page's first form, unescaped."""
    return _Forms.of(page).actions[0]


def _named(username: str, password: str) -> dict[str, str]:
    return {"username": username, "password": password}


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.actions: list[str] = []
        self.names: set[str] = set()
        self.hidden: dict[str, str] = {}

    @classmethod
    def of(cls, page: str) -> "_Forms":
        forms = cls()
        forms.feed(page)
        assert forms.actions, "the page has no form"
        return forms

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.actions.append(found.get("action", ""))
        elif tag == "input":
            self.names.add(found.get("name", ""))
            if found.get("type") == "hidden":
                self.hidden[found["name"]] = found.get("value", "")
