"""Keycloak's own import makes of the realm file what compose.keycloak.yaml needs."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.interop_keycloak.cluster import KeycloakCluster
from tests.interop_keycloak.server import REALM_FILE, Keycloak
from tests.support.processes import Process

REALM = "bff"


class ImportingKeycloak(Keycloak):
    """A Keycloak that imports the file at its start; `base_url` is in its environment."""

    base_url = ""

    def _prepared(self) -> Process:
        process = super()._prepared()
        home = Path(process.command[0]).parents[1]
        folder = home / "data/import"
        folder.mkdir(parents=True, exist_ok=True)
        self.callback(shutil.rmtree, folder)
        shutil.copy(REALM_FILE, folder)
        environment = self.environment() | {"APP_BASE_URL": self.base_url}
        return Process([*process.command, "--import-realm"], name="keycloak", env=environment)


class ImportedCluster(KeycloakCluster):
    """A cluster whose realm is the imported one."""

    def _start_provider(self) -> None:
        self.realm = REALM
        self.issuer = f"{self.keycloak.url}/realms/{REALM}"


def test_a_user_signs_in_at_the_imported_realm_and_is_signed_out_by_it() -> None:
    keycloak = ImportingKeycloak()
    cluster = ImportedCluster(keycloak)
    keycloak.base_url = cluster.base_url
    with keycloak, cluster:
        [client] = cluster.admin("GET", "/clients?clientId=app")
        assert client["redirectUris"] == [f"{cluster.base_url}/auth/callback"]
        browser = cluster.browser()
        browser.log_in()
        assert browser.api("/items").status_code == 200
        [user] = cluster.admin("GET", "/users?username=demo@example.com")
        cluster.admin("POST", f"/users/{user['id']}/logout")
        assert browser.profile().status_code == 401
