"""A token that was denied is dead in all its spellings, in every way of asking.

ECDSA has two signatures for one content, (r, s) and (r, n - s), and anyone can compute the second
from the first. So what names a token is what was signed.
"""

from __future__ import annotations

import itertools
import json
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from flask import Flask
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bff.config.validators import ALGORITHMS
from bff.core.model import RevokedAccessToken, Tokens
from bff.resource_server import IssuerKeys, TokenGuard
from bff.resource_server.token_names import token_names
from bff.sessions.lifecycle import session_key
from tests.support import admin_calls
from tests.support.admin_calls import AUDIENCE, BY_TOKEN, ask
from tests.support.fake_provider import FakeProvider
from tests.support.fixtures import MakeReceiver
from tests.support.issuer import encode
from tests.support.receiver import Receiver

OF_THE_GUARD = ("RS256", "PS256", "ES256")
CLIENT = ("orders-api", "o" * 40)
ORDERS = {
    "P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "P-384": int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
    "P-521": int(
        "1" + "f" * 65 + "a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16
    ),
}
ORDER_OF_ED25519 = 2**252 + 27742317777372353535851937790883648493
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
RSA = RSAKey.generate_key(2048, {"kid": "RSA"})
KEYS: dict[str, Any] = {
    **{alg: ECKey.generate_key(curve, {"kid": alg}) for alg, curve in CURVES.items()},
    **{alg: OKPKey.generate_key("Ed25519", {"kid": alg}) for alg in ("EdDSA", "Ed25519")},
}


class Asking:
    """A BFF that accepts every algorithm, and an API of our own over the same Redis."""

    def __init__(self, bff: Receiver) -> None:
        self.bff = bff
        self._api = Flask(__name__)
        guard = TokenGuard(
            issuer=bff.config.issuer,
            audience=AUDIENCE,
            redis_url=bff.config.redis_url.get_secret_value(),
            redis_prefix=bff.config.redis_prefix,
            deny_key=bff.services.sealer.revoked_token_names.as_text(),
            redis_timeout_seconds=10,
            keys=IssuerKeys(bff.config.issuer),
        )

        @self._api.get("/items")
        @guard.required()
        def items() -> str:
            return "items"

    def token(self, alg: str) -> str:
        return admin_calls.access_token(self.bff, key=KEYS.get(alg, RSA), alg=alg)

    def ways(self, token: str) -> dict[str, bool]:
        """By way of asking, whether *token* is accepted."""
        form = {"token": token}
        asked = self.bff.client.post("/auth/introspect", data=form, auth=CLIENT)
        header = {"Authorization": f"Bearer {token}"}
        at_our_api = self._api.test_client().get("/items", headers=header)
        admin = ask(self.bff, "GET", "/admin/sessions?sub=nobody", key=token)
        elsewhere = {"sub_id": {"format": "iss_sub", "iss": "https://other.example/", "sub": "x"}}
        revocation = ask(
            self.bff, "POST", "/auth/global-token-revocation", key=token, json=elsewhere
        )
        return {
            "introspection": asked.get_json()["active"],
            "check-token": ask(self.bff, "GET", "/auth/check-token", key=token).status_code == 204,
            "admin API": admin.status_code == 200,
            # 404: the caller may, and this issuer isn't ours.
            "Global Token Revocation": revocation.status_code == 404,
            "TokenGuard": at_our_api.status_code == 200,
        }

    def start(self, token: str, *replaced: RevokedAccessToken) -> str:
        """Start a session that has *token*; returns its key."""
        sign_in = self.bff.sign_in()
        tokens = msgspec.structs.replace(sign_in.tokens, access_token=token, replaced=replaced)
        sign_in = msgspec.structs.replace(sign_in, tokens=tokens)
        key = session_key(self.bff.services.sessions.start(sign_in))
        assert key
        return key


@pytest.fixture
def asking(receiver_for: MakeReceiver, fake: FakeProvider) -> Iterator[Asking]:
    fake.keys = [one.as_dict(private=False) for one in (RSA, *KEYS.values())]
    yield Asking(
        receiver_for(
            **BY_TOKEN,
            AUTH0_AUDIENCE=AUDIENCE,
            BFF_INTROSPECTION_CLIENTS=":".join(CLIENT),
            BFF_ID_TOKEN_ALGORITHMS=",".join(sorted(ALGORITHMS)),
        )
    )


def twin(token: str, alg: str) -> str:
    """*token* with the other one of the two valid ECDSA signatures."""
    content, _, signature = token.rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    size = len(raw) // 2
    s = ORDERS[CURVES[alg]] - int.from_bytes(raw[size:])
    return f"{content}.{encode(raw[:size] + s.to_bytes(size))}"


def beyond_the_order(token: str, alg: str) -> str:
    """*token* with a number in its signature that is too large by the order, or the modulus."""
    content, _, signature = token.rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    if alg in CURVES:
        size = len(raw) // 2
        s = int.from_bytes(raw[size:]) + ORDERS[CURVES[alg]]
        return f"{content}.{encode(raw[:size] + s.to_bytes(size + 1).removeprefix(bytes(1)))}"
    if alg in ("EdDSA", "Ed25519"):
        s = int.from_bytes(raw[32:], "little") + ORDER_OF_ED25519
        return f"{content}.{encode(raw[:32] + s.to_bytes(32, 'little'))}"
    larger = int.from_bytes(raw) + int.from_bytes(urlsafe_b64decode(str(RSA.as_dict()["n"]) + "=="))
    return f"{content}.{encode(larger.to_bytes(len(raw) + 1).removeprefix(bytes(1)))}"


def spellings(token: str, alg: str) -> dict[str, str]:
    """The same content, written in another way."""
    header, payload, signature = token.split(".")
    raw, middle = urlsafe_b64decode(signature + "=="), len(token) - 20
    named = {"protected": header, "signature": signature}
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    neighbour = alphabet[alphabet.index(token[-1]) ^ 1]
    written = {
        "as it was": token,
        "padded": f"{token}=",
        "padded twice": f"{token}==",
        "unused bits": token[:-1] + neighbour,
        "a blank before": f" {token}",
        "a line after": f"{token}\n",
        "a dot after": f"{token}.",
        "the other alphabet": token.replace("-", "+").replace("_", "/"),
        "the header padded": f"{header}=.{payload}.{signature}",
        "the payload padded": f"{header}.{payload}=.{signature}",
        # A lenient decoder leaves out what is not of the alphabet. Four, since padding counts them.
        "tildes inside": f"{token[:middle]}~~~~{token[middle:]}",
        "stars inside": f"{token[:middle]}****{token[middle:]}",
        "lines inside": f"{token[:middle]}\r\n\r\n{token[middle:]}",
        "a letter beyond ASCII": f"{token[:middle]}éé{token[middle:]}",
        "flattened JSON": json.dumps({"payload": payload, **named}),
        "general JSON": json.dumps({"payload": payload, "signatures": [named]}),
        "percent-encoded": token.replace(".", "%2E"),
        "a byte more": f"{header}.{payload}.{encode(bytes(1) + raw)}",
        "beyond the order": beyond_the_order(token, alg),
    }
    return written | ({"the other signature": twin(token, alg)} if alg in CURVES else {})


def alive(asking: Asking, token: str, alg: str) -> list[tuple[str, str]]:
    """Spelling and way by which a token is accepted."""
    found = []
    for spelling, text in spellings(token, alg).items():
        if "\n" in text or not text.isascii():
            # Werkzeug sends no such header; a form may have it.
            form = {"token": text}
            response = asking.bff.client.post("/auth/introspect", data=form, auth=CLIENT)
            ways = {"introspection": response.get_json()["active"]}
        else:
            ways = asking.ways(text)
        found += [(spelling, way) for way, accepted in ways.items() if accepted]
    return found


@pytest.fixture(params=["strict", "lenient"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's decoder of base64url: its own, or one as in other versions and libraries."""

    def lenient(part: bytes) -> bytes:
        return urlsafe_b64decode(part + b"=" * (-len(part) % 4))

    if request.param == "lenient":
        for name, module in list(sys.modules.items()):
            if name.startswith("joserfc") and hasattr(module, "urlsafe_b64decode"):
                monkeypatch.setattr(module, "urlsafe_b64decode", lenient)


@pytest.mark.usefixtures("decoder")
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("alg", sorted(ALGORITHMS))
def test_a_denied_token_is_dead_in_every_spelling(asking: Asking, alg: str) -> None:
    token = asking.token(alg)
    key = asking.start(token)
    lively = ["as it was", *(["the other signature"] if alg in CURVES else [])]
    ways = [way for way in asking.ways(token) if way != "TokenGuard" or alg in OF_THE_GUARD]
    # A blank is no part of the token in a header. All others are no spellings for the library.
    assert set(itertools.product(lively, ways)) <= set(alive(asking, token, alg))
    assert asking.bff.services.sessions.end(key, "logout")
    assert not alive(asking, token, alg)


@pytest.mark.parametrize("alg", ["RS256", "ES256", "ES384", "ES512"])
def test_what_version_0_1_0_has_denied_is_dead_in_every_spelling(asking: Asking, alg: str) -> None:
    """It names a token by the whole text, and runs beside during an upgrade."""
    token = asking.token(alg)
    asking.bff.services.stores.database.command("SET", name_in_0_1_0(asking, token), "1", "EX", 300)
    assert not alive(asking, token, alg)


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_version_0_1_0_finds_what_this_version_denies(asking: Asking, alg: str) -> None:
    database = asking.bff.services.stores.database
    token, replaced = asking.token(alg), asking.token(alg)
    deny_list = asking.bff.services.stores.deny_list
    old = Tokens(access_token=replaced, issued_at=int(database.now()), expires_at=0)
    key = asking.start(token, deny_list.entry(old))
    assert asking.bff.services.sessions.end(key, "logout")
    for one in (token, replaced):
        assert database.command("EXISTS", name_in_0_1_0(asking, one)) == 1
        assert not alive(asking, one, alg)


def test_a_replaced_token_that_version_0_1_0_has_noted_is_dead_too(asking: Asking) -> None:
    token = asking.token("ES256")
    deny_id = name_in_0_1_0(asking, token).rpartition(":")[2]
    noted = RevokedAccessToken(deny_id=deny_id, expires_at=2**32)
    key = asking.start("another", noted)
    assert asking.bff.services.sessions.end(key, "logout")
    assert not alive(asking, token, "ES256")


@pytest.mark.parametrize(
    ("token", "names"),
    [
        ("opaque", 1),
        ("a.b", 1),
        ("a.b.c.d.e", 1),
        ("é.é.é", 2),
        ("a.b.c", 2),
        (f"{encode(b'[]')}.b.c", 2),
        (f"{encode({'alg': ['ES256']})}.b.c", 2),
        (f"{encode({'alg': 'ES256'})}.b.AAEB", 2),
        (f"{encode({'alg': 'ES256'})}.b.{encode(bytes(64))}", 2),
        (f"{encode({'alg': 'ES256'})}.b.{encode(bytes([255]) * 64)}", 2),
        (f"{encode({'alg': 'ES256'})}.b.{encode(bytes([1]) * 64)}", 3),
        (f"{encode({'alg': 'ES512'})}.b.{encode(bytes([0, 1]) * 66)}", 3),
    ],
)
def test_whatever_the_provider_issues_has_names(token: str, names: int) -> None:
    assert len(set(token_names(token))) == names
    assert token_names(token)[0] == token


def name_in_0_1_0(asking: Asking, token: str) -> str:
    """The key of an entry of the deny-list, as that version makes it."""
    names = asking.bff.services.sealer.revoked_token_names
    return f"{asking.bff.config.redis_prefix}:deny:{names.name('deny', token)}"
