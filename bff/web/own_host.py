"""Does a sign-in start on the host of `APP_BASE_URL`, or even on a page of ours?

The provider sends the browser back to that host. A cookie belongs to the name by which its browser
reached us. A sign-in that starts on another name of this host (`www.`, `127.0.0.1` for `localhost`)
would not find its cookie at the callback, so it is redirected first.
"""

from __future__ import annotations

import logging
from urllib.parse import quote, urlsplit

from flask import Request

from bff.config import Config
from bff.core.errors import CrossSite
from bff.core.public_origin import as_received

REDIRECTED = "at_base_url"
"""The parameter of an address that was redirected: once, since a proxy may replace `Host`."""

log = logging.getLogger(__name__)


def address_on_our_host(request: Request, config: Config) -> str | None:
    """The address of *request* on the host of `APP_BASE_URL`; None if it is there already.

    Another host is also told in the log.

    Ports don't count: cookies don't distinguish them, and a development server has its own.
    """
    given = as_received(request.environ).get("HTTP_HOST")
    if not given or REDIRECTED in request.args or _host(f"//{given}") == _host(config.app_base_url):
        return None
    log.warning(
        "a sign-in starts at the host %r and is sent to %s (APP_BASE_URL) first; a proxy in front "
        "that replaces Host should pass it on",
        given,
        config.app_base_url,
    )
    query = quote(request.query_string, safe="%!$&'()*+,/:;=?@[]~")
    marked = "&".join(filter(None, [query, f"{REDIRECTED}=1"]))
    return f"{config.app_base_url}{request.path}?{marked}"


def is_from_our_page(request: Request, config: Config) -> bool:
    """Whether one of our own pages led here, such as by `login()` of `/auth/client.js`."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    return (request.referrer or "").startswith(f"{config.app_base_url}/")


def refuse_silent_link(request: Request, config: Config) -> None:
    """Refuse a silent sign-in that a link of another site asks for.

    It would make a session without anything that the user did here, or saw (ASVS 7.6.2). A typed
    address passes, unless `BFF_REFUSE_TYPED_ADDRESSES` is set.

    Raises:
        CrossSite: It does.
    """
    typed = request.headers.get("Sec-Fetch-Site") == "none" and config.refuse_typed_addresses
    if typed or is_link_of_another_site(request, config):
        raise CrossSite("a silent sign-in by a link of another site")


def is_link_of_another_site(request: Request, config: Config) -> bool:
    """Whether another site led here; neither a page of ours, nor a typed address or a program."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    referrer = request.referrer
    return referrer is not None and not referrer.startswith(f"{config.app_base_url}/")


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
