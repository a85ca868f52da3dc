"""A proof counts only as the browser makes it: well-formed, of one algorithm, by the right key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from bff.core.device_proof import PROOF_MAX_CHARACTERS, read_proof
from bff.core.errors import DeviceProofInvalid
from tests.support.device_key import DeviceKey, base64url

KEY = DeviceKey()
OTHER = DeviceKey()
CLAIMS = {"jti": "challenge", "authorization": "sealed"}


def assembled(header: Any, payload: Any, signature: bytes) -> str:
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(map(base64url, parts))


def proof(header: dict[str, Any] | None = None, claims: Any = CLAIMS, key: Any = KEY) -> str:
    """A registration as Chromium sends it, with another header if one is given."""
    usual = {"alg": "ES256", "typ": "dbsc+jwt", "jwk": KEY.jwk}
    return str(key.signed(usual if header is None else header, claims))


def test_a_registration_has_challenge_authorization_and_key() -> None:
    read = read_proof(proof())
    assert (read.challenge, read.authorization, read.key) == ("challenge", "sealed", KEY.public)
    read.refuse_other_key(KEY.public)


def test_the_draft_puts_it_in_quotation_marks() -> None:
    read_proof(f'"{proof()}"').refuse_other_key(KEY.public)


def test_a_refresh_has_neither_key_nor_authorization() -> None:
    read = read_proof(proof({"alg": "ES256", "typ": "dbsc+jwt"}, {"jti": "challenge"}))
    assert (read.key, read.authorization) == (None, "")
    read.refuse_other_key(KEY.public)


def test_the_same_proof_by_another_key_is_refused() -> None:
    read = read_proof(proof())
    with pytest.raises(DeviceProofInvalid):
        read.refuse_other_key(OTHER.public)
    # It says that it is by ours.
    with pytest.raises(DeviceProofInvalid):
        read_proof(proof(key=OTHER)).refuse_other_key(KEY.public)


def jwk(**changes: Any) -> Callable[[], str]:
    changed = {name: value for name, value in (KEY.jwk | changes).items() if value is not None}
    return lambda: proof({"alg": "ES256", "typ": "dbsc+jwt", "jwk": changed})


def header(**changes: Any) -> Callable[[], str]:
    usual = {"alg": "ES256", "typ": "dbsc+jwt", "jwk": KEY.jwk}
    changed = {name: value for name, value in (usual | changes).items() if value is not None}
    return lambda: proof(changed)


def claims(value: Any) -> Callable[[], str]:
    return lambda: proof(claims=value)


def raw(value: str | None) -> Callable[[], str | None]:
    return lambda: value


def in_der() -> str:
    """The signature as X.509 has it, in place of the 64 bytes of JOSE."""
    signed = ".".join(proof().split(".")[:2])
    return f"{signed}.{base64url(KEY.private.sign(signed.encode(), ec.ECDSA(SHA256())))}"


def with_sha384() -> str:
    signed = ".".join(proof().split(".")[:2])
    r, s = decode_dss_signature(KEY.private.sign(signed.encode(), ec.ECDSA(SHA384())))
    return f"{signed}.{base64url(r.to_bytes(32) + s.to_bytes(32))}"


def other_payload() -> str:
    head, _, signature = proof().split(".")
    return f"{head}.{base64url(json.dumps(CLAIMS | {'jti': 'other'}).encode())}.{signature}"


def rsa_key() -> dict[str, Any]:
    numbers = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
    return {"kty": "RSA", "e": "AQAB", "n": base64url(numbers.n.to_bytes(256))}


def deep() -> str:
    head, _, signature = proof().split(".")
    return f"{head}.{base64url(b'[' * 1500)}.{signature}"


FORGERIES: dict[str, Callable[[], str | None]] = {
    "none": raw(None),
    "empty": raw(""),
    "one quotation mark": raw('"'),
    "quotation marks only": raw('""'),
    "no JWT": raw("a"),
    "two parts": lambda: ".".join(proof().split(".")[:2]),
    "four parts": lambda: f"{proof()}.e30",
    "two fields, joined by a comma": lambda: f"{proof()}, {proof()}",
    "without a signature": lambda: ".".join(proof().split(".")[:2]) + ".",
    "alg none": header(alg="none"),
    "alg none, unsigned": lambda: assembled({"alg": "none", "typ": "dbsc+jwt"}, CLAIMS, b""),
    "alg HS256": header(alg="HS256"),
    "alg RS256": header(alg="RS256"),
    "alg ES384": header(alg="ES384"),
    "alg in lower case": header(alg="es256"),
    "alg as a list": header(alg=["ES256"]),
    "no alg": header(alg=None),
    "typ jwt": header(typ="jwt"),
    "typ dpop+jwt": header(typ="dpop+jwt"),
    "no typ": header(typ=None),
    "crit": header(crit=["b64"], b64=False),
    "jwk with the private part": jwk(d=base64url(b"1" * 32)),
    "jwk symmetric": header(jwk={"kty": "oct", "k": "c2VjcmV0"}),
    "jwk RSA": header(jwk=rsa_key()),
    "jwk on another curve": jwk(crv="P-384"),
    "jwk without x": jwk(x=None),
    "jwk with a short y": jwk(y=base64url(b"1" * 31)),
    "jwk with a long x": jwk(x=base64url(b"\0" + KEY.public[:32])),
    "jwk with a number": jwk(x=1),
    "jwk as a list": header(jwk=[KEY.jwk]),
    "jwk null": lambda: proof({"alg": "ES256", "typ": "dbsc+jwt", "jwk": None}),
    "jwk that is no point": jwk(x=base64url(b"\1" * 32)),
    "jwk that is the point at infinity": jwk(x=base64url(bytes(32)), y=base64url(bytes(32))),
    "no challenge": claims({"authorization": "sealed"}),
    "an empty challenge": claims({"jti": ""}),
    "a challenge that is a number": claims({"jti": 1}),
    "an authorization that is a list": claims({"jti": "c", "authorization": ["sealed"]}),
    "an authorization of null": claims({"jti": "c", "authorization": None}),
    "claims that are a list": claims(["jti"]),
    "claims that are text": claims("jti"),
    "other claims than those signed": other_payload,
    "signed by another key": lambda: proof(key=OTHER),
    "signature in DER": in_der,
    "signature with SHA-384": with_sha384,
    "signature of zeros": lambda: f"{proof().rpartition('.')[0]}.{base64url(bytes(64))}",
    "signature too long": lambda: f"{proof()}{base64url(b'123')}",
    "with padding": lambda: f"{proof()}==",
    "standard base64": lambda: proof().replace("-", "+").replace("_", "/") + "+",
    "blanks": lambda: f"{proof()} ",
    "beyond ASCII": lambda: f"{proof()}\u00fc",
    "too long": claims({"jti": "x" * PROOF_MAX_CHARACTERS}),
    "nested too deeply": deep,
    "header that is no UTF-8": raw(base64url(b'{"alg":"\xff"}') + ".e30.AAAA"),
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_refused(forged: Callable[[], str | None]) -> None:
    with pytest.raises(DeviceProofInvalid):
        read_proof(forged()).refuse_other_key(KEY.public)
        # Those that say another key are refused by that key.
        read_proof(forged()).refuse_other_key(read_proof(forged()).key or b"")


def test_every_other_spelling_of_a_proof_is_refused() -> None:
    """The last character of base64url has bits that mean nothing."""
    given = proof()
    alphabet = base64.urlsafe_b64encode(bytes(range(48))).decode() + "-_"
    for last in set(alphabet) - {given[-1]}:
        with pytest.raises(DeviceProofInvalid):
            read_proof(given[:-1] + last).refuse_other_key(KEY.public)
