"""What happens at a logout at the demo provider? Refusals, ends, and logout tokens."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urljoin

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from demo.provider import ClientSettings, start_provider
from tests.support.provider_client import (
    CLIENT_ID,
    LOGGED_OUT_URI,
    ProviderClient,
    StartClient,
    client_settings,
    header_and_claims,
    provider_settings,
    query_of,
)
from tests.support.provider_form import TIMEOUT_SECONDS, form_action

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Listener:
    """A client's back-channel endpoint; `next` returns what was posted."""

    def __init__(self) -> None:
        self.posted: Queue[dict[str, list[str]]] = Queue()
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                posted.put(parse_qs(body))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.uri = f"http://127.0.0.1:{self._server.server_port}/backchannel"

    def next(self) -> str:
        """The next logout token."""
        (token,) = self.posted.get(timeout=TIMEOUT_SECONDS)["logout_token"]
        return token

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A running back-channel endpoint."""
    running = Listener()
    yield running
    running.stop()


@pytest.fixture
def client(listener: Listener) -> Iterator[ProviderClient]:
    """A client with a back-channel endpoint, beside another one without a sign-in."""
    listening = client_settings(backchannel_logout_uri=listener.uri)
    idle = ClientSettings("idle", "idle-secret", backchannel_logout_uri=listener.uri)
    settings = provider_settings(clients=(listening, idle))
    with start_provider(settings) as provider, ProviderClient(provider) as running:
        yield running


def sid_of(tokens: dict[str, Any]) -> str:
    return str(header_and_claims(tokens["id_token"])[1]["sid"])


def signed_out(client: ProviderClient) -> bool:
    return client.silently().get("error") == "login_required"


def test_address_that_is_not_registered_is_never_redirected_to(start_client: StartClient) -> None:
    client = start_client()
    sid = sid_of(client.tokens())
    for uri in ("https://evil.example/", f"{LOGGED_OUT_URI}?x=1", f"{LOGGED_OUT_URI}/"):
        response = client.get(
            f"{client.issuer}oidc/logout",
            client_id=CLIENT_ID,
            logout_hint=sid,
            post_logout_redirect_uri=uri,
        )
        assert response.status_code == 400
        assert "Location" not in response.headers
        response = client.get(f"{client.issuer}v2/logout", client_id=CLIENT_ID, returnTo=uri)
        assert response.status_code == 400
    assert not signed_out(client)


def test_forged_id_token_hint_is_refused(start_client: StartClient) -> None:
    client = start_client()
    head, claims, signature = client.tokens()["id_token"].split(".")
    forged = f"{head}.{claims}.{signature[:-6]}AAAAAA"
    assert client.get(f"{client.issuer}oidc/logout", id_token_hint=forged).status_code == 400
    assert not signed_out(client)


@pytest.mark.parametrize("hint", ["none", "another sid"])
def test_without_a_matching_hint_the_user_has_to_confirm(
    start_client: StartClient, hint: str
) -> None:
    client = start_client()
    client.tokens()
    parameters = {"client_id": CLIENT_ID, "post_logout_redirect_uri": LOGGED_OUT_URI}
    if hint == "another sid":
        parameters["logout_hint"] = "another"
    page = client.get(f"{client.issuer}oidc/logout", **parameters)
    assert "Sign out?" in page.text
    assert not signed_out(client)
    action = urljoin(client.issuer, form_action(page.text))
    response = client.browser.post(
        action, {"confirmed": "yes"}, allow_redirects=False, timeout=TIMEOUT_SECONDS
    )
    assert response.headers["Location"] == LOGGED_OUT_URI
    assert signed_out(client)


def test_confirmation_from_another_site_does_not_count(start_client: StartClient) -> None:
    client = start_client()
    client.tokens()
    client.browser.post(
        f"{client.issuer}oidc/logout",
        {"confirmed": "yes"},
        headers={"Sec-Fetch-Site": "cross-site"},
        timeout=TIMEOUT_SECONDS,
    )
    assert not signed_out(client)


@pytest.mark.parametrize("hint", ["id_token_hint", "logout_hint"])
def test_hint_ends_the_session_and_brings_the_state_back(
    start_client: StartClient, hint: str
) -> None:
    client = start_client()
    tokens = client.tokens()
    value = tokens["id_token"] if hint == "id_token_hint" else sid_of(tokens)
    response = client.get(
        f"{client.issuer}oidc/logout",
        client_id=CLIENT_ID,
        post_logout_redirect_uri=LOGGED_OUT_URI,
        state="the-logout",
        **{hint: value},
    )
    assert response.status_code == 302
    assert response.headers["Location"].startswith(LOGGED_OUT_URI)
    assert query_of(response.headers["Location"]) == {"state": "the-logout"}
    assert signed_out(client)
    assert client.counts()["logout.ok"] == 1


def test_the_parameters_of_a_post_survive_the_confirmation(start_client: StartClient) -> None:
    client = start_client()
    client.tokens()
    asked = {"client_id": CLIENT_ID, "post_logout_redirect_uri": LOGGED_OUT_URI, "state": "s"}
    page = client.browser.post(f"{client.issuer}oidc/logout", asked, timeout=TIMEOUT_SECONDS)
    action = urljoin(client.issuer, form_action(page.text))
    response = client.browser.post(
        action, {"confirmed": "yes"}, allow_redirects=False, timeout=TIMEOUT_SECONDS
    )
    assert response.headers["Location"] == f"{LOGGED_OUT_URI}?state=s"


def test_post_from_another_site_ends_the_session_that_the_id_token_names(
    start_client: StartClient,
) -> None:
    client = start_client()
    id_token = client.tokens()["id_token"]
    cookies = client.browser.cookies.copy()
    client.browser.cookies.clear()  # A browser sends no Lax cookie with such a POST.
    client.browser.post(
        f"{client.issuer}oidc/logout", {"id_token_hint": id_token}, timeout=TIMEOUT_SECONDS
    )
    client.browser.cookies.update(cookies)
    assert signed_out(client)


def test_signing_out_twice_is_fine(start_client: StartClient) -> None:
    client = start_client()
    parameters = {
        "client_id": CLIENT_ID,
        "logout_hint": sid_of(client.tokens()),
        "post_logout_redirect_uri": LOGGED_OUT_URI,
    }
    for _ in range(2):
        response = client.get(f"{client.issuer}oidc/logout", **parameters)
        assert response.headers["Location"] == LOGGED_OUT_URI


def test_v2_logout(start_client: StartClient) -> None:
    client = start_client()
    client.tokens()
    response = client.get(
        f"{client.issuer}v2/logout", client_id=CLIENT_ID, returnTo=LOGGED_OUT_URI, federated=""
    )
    assert response.headers["Location"] == LOGGED_OUT_URI
    assert signed_out(client)


def test_refresh_token_outlives_the_logout(start_client: StartClient) -> None:
    client = start_client()
    tokens = client.tokens()
    client.get(f"{client.issuer}oidc/logout", logout_hint=sid_of(tokens))
    assert client.refresh(tokens["refresh_token"]).status_code == 200


def test_logout_tells_the_clients_of_the_session(
    client: ProviderClient, listener: Listener
) -> None:
    tokens = client.tokens()
    client.get(f"{client.issuer}oidc/logout", logout_hint=sid_of(tokens))
    logout_token = listener.next()
    keys = KeySet.import_key_set(client.get(f"{client.issuer}.well-known/jwks.json").json())
    verified = jwt.decode(logout_token, keys, ["RS256"])
    claims = verified.claims
    assert verified.header["typ"] == "JWT"
    assert claims["iss"] == client.issuer
    assert claims["aud"] == CLIENT_ID
    assert claims["sub"] == "auth0|demo"
    assert claims["sid"] == sid_of(tokens)
    assert claims["events"] == {LOGOUT_EVENT: {}}
    assert claims["exp"] == claims["iat"] + 120
    assert claims["jti"]
    assert "nonce" not in claims
    assert listener.posted.empty(), "the client that was never signed in to was told"


def test_ending_sessions_and_a_new_password_tell_the_clients(
    client: ProviderClient, listener: Listener
) -> None:
    tokens = client.tokens()
    ended = client.control("POST", "users/auth0|demo/end-sessions")
    assert ended == {"ended": [sid_of(tokens)]}
    assert header_and_claims(listener.next())[1]["sid"] == sid_of(tokens)
    assert signed_out(client)
    tokens = client.tokens()
    client.control("POST", "users/auth0|demo/password", password="new")
    assert header_and_claims(listener.next())[1]["sid"] == sid_of(tokens)
    with pytest.raises(AssertionError, match="Wrong email or password"):
        client.sign_in()


def test_logout_tokens_on_request(client: ProviderClient, listener: Listener) -> None:
    sent = client.control(
        "POST",
        "backchannel",
        sub="demo@example.com",
        client_id=CLIENT_ID,
        typ="logout+jwt",
        override={"nonce": "n", "events": None},
    )
    logout_token = listener.next()
    assert [(s["client_id"], s["status"]) for s in sent] == [(CLIENT_ID, 200)]
    header, claims = header_and_claims(logout_token)
    assert header["typ"] == "logout+jwt"
    assert claims["sub"] == "auth0|demo"
    assert claims["nonce"] == "n"
    assert not {"events", "sid"} & set(claims)
    assert client.control("GET", "backchannel") == sent
    assert client.counts()["backchannel.200"] == 1
