"""In which ways does a browser get a second session, so that a logout may leave the first?

The session cookie is `SameSite=Strict`: it comes neither with a link of another site nor from the
provider. Each function ends with a logout of the session that the browser has then.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from demo.prove import endings
from demo.prove.browser import FROM_ANOTHER_SITE, NAVIGATION, Browser, cookie_name
from demo.prove.installation import Installation
from demo.prove.rows import ProofFailed
from demo.prove.thief import Thief

TABS = 10


def by_link(installation: Installation, thief: Thief) -> None:
    """A link of another site begins the second sign-in."""
    browser = thief.browser
    _finish(browser, _begun(browser, "/auth/login"))
    endings.spa(installation, thief)


def at_once(installation: Installation, thief: Thief) -> None:
    """Two sign-ins are finished at the same moment."""
    browser = thief.browser
    begun = [_begun(browser, "/auth/login") for _ in range(2)]
    locations = [browser.through_provider(one) for one in begun]
    with ThreadPoolExecutor(len(locations)) as pool:
        list(pool.map(browser.come_back, locations, range(len(locations))))
    endings.spa(installation, thief)


def restored_tabs(installation: Installation, thief: Thief) -> None:
    """Ten tabs try the silent sign-in at the same moment."""
    browser = thief.browser

    def silently(_: int) -> None:
        # By the app's own script: a link of another site doesn't sign in silently.
        _finish(browser, _begun(browser, "/auth/login?prompt=none", NAVIGATION))

    with ThreadPoolExecutor(TABS) as pool:
        list(pool.map(silently, range(TABS)))
    endings.spa(installation, thief)


def _begun(browser: Browser, path: str, headers: dict[str, str] = FROM_ANOTHER_SITE) -> str:
    """Begin a sign-in without the Strict cookie; returns the address of the provider."""
    name = cookie_name(browser.urls[0])
    response = browser.open(path, headers=headers, without=name)
    if response.status_code != 302:
        raise ProofFailed(f"{path} responded {response.status_code}")
    return response.headers["Location"]


def _finish(browser: Browser, location: str) -> None:
    response = browser.come_back(browser.through_provider(location))
    if response.status_code != 303:
        raise ProofFailed(f"the callback responded {response.status_code}")
