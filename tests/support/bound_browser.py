"""How does a test act as a browser that binds its session? Over plain HTTP, at every replica.

    browser = BoundBrowser(cluster)
    browser.log_in()
    browser.register()
    browser.get("/auth/profile", replica=1)

The cluster's address is https, as if a proxy in front ended TLS. So the cookies are `Secure`, and
are kept here.
"""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import urlsplit

import requests

from bff.core.device_binding import BoundCookies
from bff.core.sealing import Sealer
from tests.support.ageing import record_name, session_key
from tests.support.browser_client import FETCH, NAVIGATION
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.device_key import DeviceKey
from tests.support.provider_form import sign_in_at_provider

SESSION, BOUND = "__Host-Http-session", "__Host-bound"
OF_BROWSER = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}
TIMEOUT_SECONDS = 30


class BoundBrowser:
    """One browser: its cookies, its key, and what it was told about its session.

    Args:
        cluster: With an address that begins with https.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._host = urlsplit(cluster.base_url).netloc
        self.cookies: dict[str, str] = {}
        self.key = DeviceKey()
        self.at_provider = requests.Session()
        self.at_provider.trust_env = False
        self.offer: dict[str, str] = {}
        """Of `Secure-Session-Registration`, after a sign-in that had one."""
        self.challenge = self.session_id = ""

    def copy(self) -> BoundBrowser:
        """A thief's: the same cookies, and another key."""
        other = BoundBrowser(self._cluster)
        other.cookies = dict(self.cookies)
        return other

    def request(
        self, method: str, path: str, *, replica: int = 0, strict: bool = True, **headers: Any
    ) -> requests.Response:
        """Send one request; `_` in the names of headers is `-`. Without *strict*, as a cross-site
        request: without the cookies that are SameSite=Strict."""
        sent = {n: v for n, v in self.cookies.items() if strict or n not in (SESSION, BOUND)}
        fields = FETCH | {name.replace("_", "-"): value for name, value in headers.items()}
        fields |= {"Host": self._host}
        if sent:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in sent.items())
        response = requests.request(
            method, f"http://127.0.0.1:{self._cluster.ports[replica]}{path}",
            headers=fields, allow_redirects=False, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
        for line in response.raw.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        self._note(response)
        return response

    def _note(self, response: requests.Response) -> None:
        offered = response.headers.get("Secure-Session-Registration")
        if offered:
            self.offer = dict(re.findall(r';(\w+)="([^"]*)"', offered))
        challenged = response.headers.get("Secure-Session-Challenge")
        if challenged:
            match = re.fullmatch(r'"([^"]+)";id="([^"]+)"', challenged)
            assert match, challenged
            self.challenge = match[1]

    def get(self, path: str, *, replica: int = 0, **headers: Any) -> requests.Response:
        """GET *path* as the page's script does."""
        return self.request("GET", path, replica=replica, **headers)

    def log_in(self, path: str = "/auth/login", *, replica: int = 0) -> requests.Response:
        """Sign in; returns the response of the callback."""
        navigation: dict[str, Any] = {n.replace("-", "_"): v for n, v in NAVIGATION.items()}
        begun = self.get(path, replica=replica, **navigation)
        assert begun.status_code == 302, begun.text
        location = sign_in_at_provider(self.at_provider, begun.headers["Location"], EMAIL, PASSWORD)
        parts = urlsplit(location)
        navigation["Sec_Fetch_Site"] = "cross-site"
        target = f"{parts.path}?{parts.query}"
        response = self.request("GET", target, replica=replica, strict=False, **navigation)
        assert response.status_code == 303, response.text
        return response

    def register(self, *, replica: int = 0, **changed: str) -> requests.Response:
        """Register the key, without the cookies that a redirect of the provider doesn't have."""
        given = {"challenge": self.offer["challenge"]} | changed
        proof = self.key.registration(
            given["challenge"], given.get("authorization", self.offer["authorization"])
        )
        response = self.device("register", replica=replica, strict=False, proof=proof)
        if response.ok:
            self.session_id = response.json()["session_identifier"]
        return response

    def refresh(
        self, *, replica: int = 0, proof: str | None = None, **headers: Any
    ) -> requests.Response:
        """Ask for the next cookie; with a proof for the newest challenge, or with the given one."""
        sent = self.key.refresh(self.challenge) if proof is None else proof
        headers = {"Sec_Secure_Session_Id": self.session_id} | headers
        return self.device("refresh", replica=replica, proof=sent, **headers)

    def device(self, path: str, *, proof: str = "", **options: Any) -> requests.Response:
        """Send a request of the browser's own, with *proof* unless it is empty."""
        fields = OF_BROWSER | ({"Secure-Session-Response": proof} if proof else {})
        named = {name.replace("-", "_"): value for name, value in fields.items()}
        return self.request("POST", f"/auth/device/{path}", **(named | options))


def over_https(cluster: Cluster) -> Cluster:
    """The cluster, before it starts, as behind a proxy that ends TLS."""
    cluster.base_url = cluster.base_url.replace("http:", "https:")
    return cluster


def bound_long_ago(cluster: Cluster, browser: BoundBrowser) -> str:
    """Let the first seconds of a binding be over; returns the session's key."""
    name = record_name(cluster, browser.cookies[SESSION])
    cluster.store().hincrby(name, "bound_at", -60)
    cluster.wait_for_caches()
    return session_key(browser.cookies[SESSION])


def run_out(cluster: Cluster, browser: BoundBrowser) -> None:
    """Let the short-lived cookie be one that has ended."""
    cookies = BoundCookies(Sealer([cluster.secret]).device_hashes, 0)
    key = session_key(browser.cookies[SESSION])
    browser.cookies[BOUND] = cookies.value(key, time.time() - 2)
