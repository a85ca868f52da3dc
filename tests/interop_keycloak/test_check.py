"""`python -m bff check` tells right from wrong at Keycloak, which has a word of its own for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop_keycloak.cluster import KeycloakCluster
from tests.support.checking import statuses

WRONG = {
    "a wrong secret": ({"AUTH0_CLIENT_SECRET": "wrong" * 8}, "client secret"),
    "another client": ({"AUTH0_CLIENT_ID": "nobody"}, "client secret"),
    "another address": ({"APP_BASE_URL": "http://localhost:1"}, "callback address"),
    "the same, not pushed": (
        {"APP_BASE_URL": "http://localhost:1", "BFF_PAR": "off"}, "callback address",
    ),
}  # fmt: skip


@pytest.mark.parametrize("par", ["auto", "off"])
def test_what_is_right_is_seen(par: str, cluster: KeycloakCluster, tmp_path: Path) -> None:
    found = statuses(cluster, tmp_path, BFF_PAR=par)
    for subject in ("provider", "clock", "client secret", "revocation", "callback address"):
        assert found[subject] == "ok", found


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_seen(case: str, cluster: KeycloakCluster, tmp_path: Path) -> None:
    changed, subject = WRONG[case]
    assert statuses(cluster, tmp_path, **changed)[subject] == "failed"
