"""How does a sign-in work at the demo provider? Refusals, form, `prompt`, `max_age`, tokens."""

from urllib.parse import urljoin

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from demo.provider import start_provider
from tests.support.provider_client import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET,
    EMAIL,
    PASSWORD,
    REDIRECT_URI,
    ProviderClient,
    StartClient,
    client_settings,
    header_and_claims,
    provider_settings,
    query_of,
)
from tests.support.provider_form import TIMEOUT_SECONDS, form_action

MADE_UP_VERIFIER = "v" * 50


@pytest.mark.parametrize(
    "changes",
    [{"client_id": "unknown"}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": None}],
    ids=["client", "redirect_uri", "no redirect_uri"],
)
def test_request_of_unknown_origin_is_a_page_and_never_a_redirect(
    start_client: StartClient, changes: dict[str, str | None]
) -> None:
    client = start_client()
    response = client.get(client.authorize_url(**changes))
    assert response.status_code in (400, 401)
    assert "Location" not in response.headers
    assert "text/html" in response.headers["Content-Type"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"audience": "https://unknown.example"}, "access_denied"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
    ],
)
def test_refusal_goes_back_to_the_client_with_its_state(
    start_client: StartClient, changes: dict[str, str], error: str
) -> None:
    client = start_client()
    response = client.get(client.authorize_url(**changes))
    assert response.headers["Location"].startswith(REDIRECT_URI)
    parameters = query_of(response.headers["Location"])
    assert (parameters["error"], parameters["state"]) == (error, "the-state")


def test_wrong_password_shows_the_form_again(start_client: StartClient) -> None:
    client = start_client()
    response = post_form(client, client.authorize_url(), EMAIL, "wrong")
    assert response.status_code == 400
    assert "Wrong email or password" in response.text
    assert not client.browser.cookies


def test_input_and_parameters_are_escaped(start_client: StartClient) -> None:
    client = start_client()
    hostile = '"><script>alert(1)</script>'
    page = client.get(client.authorize_url(login_hint=hostile, state=hostile)).text
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in post_form(client, client.authorize_url(), hostile, "wrong").text


def test_form_posted_by_another_site_is_refused(start_client: StartClient) -> None:
    client = start_client()
    client.browser.headers["Sec-Fetch-Site"] = "cross-site"
    assert post_form(client, client.authorize_url(), EMAIL, PASSWORD).status_code == 403


def test_page_says_that_it_is_a_demo_and_loads_nothing_from_outside(
    start_client: StartClient,
) -> None:
    client = start_client()
    response = client.get(client.authorize_url())
    assert "Demo provider" in response.text
    assert EMAIL in response.text
    assert "http" not in response.text.replace("http%3A", "").replace("https%3A", "")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    style = client.get(urljoin(client.issuer, "/static/provider.css"))
    assert style.status_code == 200


def test_code_gives_tokens_that_the_published_keys_verify(start_client: StartClient) -> None:
    client = start_client()
    parameters = client.sign_in()
    assert parameters["state"] == "the-state"
    tokens = client.exchange(parameters["code"]).json()
    keys = KeySet.import_key_set(client.get(f"{client.issuer}.well-known/jwks.json").json())
    claims = jwt.decode(tokens["id_token"], keys, ["RS256"]).claims
    assert claims["iss"] == client.issuer
    assert claims["aud"] == CLIENT_ID
    assert claims["nonce"] == "the-nonce"
    assert claims["email"] == EMAIL
    assert claims["sid"]
    assert claims["auth_time"] <= claims["iat"]
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 300


def test_code_is_used_once_and_a_replay_revokes_the_refresh_token(
    start_client: StartClient,
) -> None:
    client = start_client()
    code = client.sign_in()["code"]
    tokens = client.exchange(code).json()
    response = client.exchange(code)
    assert (response.status_code, response.json()["error"]) == (403, "invalid_grant")
    assert client.state_of(tokens["refresh_token"]) == "revoked"


@pytest.mark.parametrize(
    "changes",
    [{"code_verifier": MADE_UP_VERIFIER}, {"redirect_uri": "http://localhost:9/other"}],
    ids=["verifier", "redirect_uri"],
)
def test_code_needs_the_parameters_of_its_request(
    start_client: StartClient, changes: dict[str, str]
) -> None:
    client = start_client()
    form = {"redirect_uri": REDIRECT_URI, "code_verifier": client.code_verifier} | changes
    response = client.token(grant_type="authorization_code", code=client.sign_in()["code"], **form)
    assert (response.status_code, response.json()["error"]) == (403, "invalid_grant")


def test_code_expires(start_client: StartClient) -> None:
    client = start_client(authorization_code_seconds=60)
    code = client.sign_in()["code"]
    client.control("POST", "clock", advance_seconds=60)
    assert client.exchange(code).json()["error"] == "invalid_grant"


def test_second_sign_in_in_the_same_browser_needs_no_form(start_client: StartClient) -> None:
    client = start_client()
    first = header_and_claims(client.tokens()["id_token"])[1]
    response = client.get(client.authorize_url())
    assert response.status_code == 302
    code = query_of(response.headers["Location"])["code"]
    assert header_and_claims(client.exchange(code).json()["id_token"])[1]["sid"] == first["sid"]
    assert client.silently()["state"] == "the-state"


@pytest.mark.parametrize("prompt", ["login", "select_account"])
def test_prompt_shows_the_form_in_spite_of_a_session(
    start_client: StartClient, prompt: str
) -> None:
    client = start_client()
    client.sign_in()
    assert client.get(client.authorize_url(prompt=prompt)).status_code == 200
    assert "code" in client.sign_in(prompt=prompt)


def test_consent_is_skipped(start_client: StartClient) -> None:
    client = start_client()
    client.sign_in()
    assert client.get(client.authorize_url(prompt="consent")).status_code == 302


def test_max_age_requires_a_newer_sign_in(start_client: StartClient) -> None:
    client = start_client()
    client.sign_in()
    assert "code" in client.silently(max_age="100")
    assert client.silently(max_age="0")["error"] == "login_required"
    client.control("POST", "clock", advance_seconds=101)
    assert client.silently(max_age="100")["error"] == "login_required"
    assert client.get(client.authorize_url(max_age="100")).status_code == 200


def test_signing_in_again_renews_auth_time_and_keeps_the_sid(start_client: StartClient) -> None:
    client = start_client()
    before = header_and_claims(client.tokens()["id_token"])[1]
    client.control("POST", "clock", advance_seconds=50)
    after = header_and_claims(client.tokens(max_age="0")["id_token"])[1]
    assert after["sid"] == before["sid"]
    assert after["auth_time"] >= before["auth_time"] + 50


def test_auth_time_only_when_requested_if_it_is_set_so(start_client: StartClient) -> None:
    client = start_client(auth_time_always=False)
    assert "auth_time" not in header_and_claims(client.tokens()["id_token"])[1]
    assert "auth_time" in header_and_claims(client.tokens(max_age="900")["id_token"])[1]


def test_session_expiry_claim(start_client: StartClient) -> None:
    client = start_client(session_expiry_seconds=1000)
    claims = header_and_claims(client.tokens()["id_token"])[1]
    assert claims["session_expiry"] == claims["auth_time"] + 1000


def test_access_token_in_the_dialect_of_auth0(start_client: StartClient) -> None:
    client = start_client()
    header, claims = header_and_claims(client.tokens()["access_token"])
    assert header["typ"] == "JWT"
    assert claims["azp"] == CLIENT_ID
    assert claims["aud"] == [AUDIENCE, f"{client.issuer}userinfo"]
    assert "jti" not in claims


def test_access_token_in_the_dialect_of_rfc_9068(start_client: StartClient) -> None:
    header, claims = header_and_claims(
        start_client(access_token_dialect="rfc9068").tokens()["access_token"]
    )
    assert header["typ"] == "at+jwt"
    assert claims["client_id"] == CLIENT_ID
    assert claims["jti"]


def test_two_access_tokens_of_one_second_differ(start_client: StartClient) -> None:
    client = start_client()
    assert client.tokens()["access_token"] != client.tokens()["access_token"]


def test_without_audience_the_access_token_is_opaque_and_good_for_userinfo(
    start_client: StartClient,
) -> None:
    client = start_client()
    access_token = client.tokens(audience=None, scope="openid email read:items")["access_token"]
    assert "." not in access_token
    assert userinfo(client, access_token).json() == {
        "sub": "auth0|demo",
        "email": EMAIL,
        "email_verified": True,
    }


def test_userinfo_refuses_unknown_and_expired_tokens(start_client: StartClient) -> None:
    client = start_client()
    access_token = client.tokens()["access_token"]
    assert userinfo(client, access_token).status_code == 200
    assert userinfo(client, "made-up").status_code == 401
    client.control("POST", "clock", advance_seconds=300)
    response = userinfo(client, access_token)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("iss_parameter", [False, True])
def test_iss_in_the_authorization_response(start_client: StartClient, iss_parameter: bool) -> None:
    client = start_client(iss_parameter=iss_parameter)
    expected = client.issuer if iss_parameter else None
    assert client.sign_in().get("iss") == expected
    assert client.silently(max_age="0").get("iss") == expected
    discovery = client.get(f"{client.issuer}.well-known/openid-configuration").json()
    assert discovery["issuer"] == client.issuer
    announced = "authorization_response_iss_parameter_supported"
    assert discovery.get(announced, False) is iss_parameter


def test_cookie_is_out_of_reach_of_scripts(start_client: StartClient) -> None:
    client = start_client()
    cookie = post_form(client, client.authorize_url(), EMAIL, PASSWORD).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("wrong", [{"client_secret": "wrong"}, {"client_id": "unknown"}])
def test_wrong_client_is_401_invalid_client(
    start_client: StartClient, wrong: dict[str, str]
) -> None:
    client = start_client()
    response = client.token(grant_type="refresh_token", refresh_token="x", **wrong)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_client_secret_basic() -> None:
    client_of_basic = client_settings(
        token_endpoint_auth_method="client_secret_basic", client_secret="a+b/c%"
    )
    with (
        start_provider(provider_settings(clients=(client_of_basic,))) as provider,
        ProviderClient(provider) as client,
    ):
        code = client.sign_in()["code"]
        form = code_form(client, code)
        identity = {"client_id": CLIENT_ID, "client_secret": "a+b/c%"}
        assert post_token(client, form | identity).status_code == 401
        assert post_token(client, form, (CLIENT_ID, "wrong")).status_code == 401
        assert post_token(client, form, (CLIENT_ID, "a+b/c%")).status_code == 200


def test_private_key_jwt_counts_once_and_needs_the_right_key() -> None:
    key, other_key = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
    client_of_jwt = client_settings(
        token_endpoint_auth_method="private_key_jwt",
        client_secret="",
        public_jwk=key.as_dict(private=False),
    )
    with (
        start_provider(provider_settings(clients=(client_of_jwt,))) as provider,
        ProviderClient(provider) as client,
    ):
        form = code_form(client, client.sign_in()["code"])
        good = assertion(client, key, "one")
        assert post_token(client, form | assertion(client, other_key, "two")).status_code == 401
        assert post_token(client, form | {"client_secret": CLIENT_SECRET}).status_code == 401
        assert post_token(client, form | good).status_code == 200
        assert post_token(client, form | good).status_code == 401


def assertion(client: ProviderClient, key: RSAKey, jti: str) -> dict[str, str]:
    expires_at = 4_000_000_000
    claims = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": client.issuer, "exp": expires_at}
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "RS256"}, claims | {"jti": jti}, key),
    }


def code_form(client: ProviderClient, code: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": client.code_verifier,
    }


def post_token(
    client: ProviderClient, form: dict[str, str], basic: tuple[str, str] | None = None
) -> requests.Response:
    return client.browser.post(
        f"{client.issuer}oauth/token", data=form, auth=basic, timeout=TIMEOUT_SECONDS
    )


def post_form(
    client: ProviderClient, authorize_url: str, username: str, password: str
) -> requests.Response:
    action = urljoin(authorize_url, form_action(client.get(authorize_url).text))
    form = {"username": username, "password": password}
    return client.browser.post(action, data=form, allow_redirects=False, timeout=TIMEOUT_SECONDS)


def userinfo(client: ProviderClient, access_token: str) -> requests.Response:
    return client.browser.get(
        f"{client.issuer}userinfo",
        headers={"Authorization": f"Bearer {access_token}"},
        timeout=TIMEOUT_SECONDS,
    )
