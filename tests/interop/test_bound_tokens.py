"""Does an API here take tokens and proofs that a library of others (`jose`) has made?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from bff.resource_server import AccessRefused, IssuerKeys, TokenGuard
from bff.resource_server.dpop_proof import KEY_OF_ALGORITHM
from tests.interop.cluster import HERE
from tests.support.issuer import AUDIENCE, ISSUER

URL = "https://api.test/items"


@pytest.mark.parametrize("alg", KEY_OF_ALGORITHM)
def test_a_proof_of_another_library_is_taken_once(alg: str) -> None:
    node = shutil.which("node")
    assert node, "make interop needs Node"
    env = {"PATH": os.environ["PATH"], "ALG": alg, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE}
    env |= {"METHOD": "POST", "URL": URL}
    command = [node, str(HERE / "proof.mjs")]
    made = json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    documents = {
        f"{ISSUER}.well-known/openid-configuration": {"issuer": ISSUER, "jwks_uri": "jwks"},
        "jwks": {"keys": made["keys"]},
    }
    guard = TokenGuard.without_deny_list(
        issuer=ISSUER,
        audience=AUDIENCE,
        keys=IssuerKeys(ISSUER, lambda url: documents[url]),
        dpop="required",
        base_url="https://api.test",
    )

    def verify(method: str) -> str:
        try:
            claims = guard.verify(
                f"DPoP {made['token']}", dpop=[made["proof"]], method=method, url="/items?x=1"
            )
        except AccessRefused as refused:
            return str(refused)
        return str(claims["sub"])

    answers = [verify(method) for method in ("GET", "POST", "POST")]
    assert answers == ["invalid_dpop_proof", "alice", "invalid_dpop_proof"]
