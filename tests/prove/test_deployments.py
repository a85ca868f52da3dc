"""Does the proof tell of a deployment that it hasn't started itself?"""

from __future__ import annotations

import sys

from tests.prove.proof import prove, rows
from tests.support.cluster import AUDIENCE, Cluster
from tests.support.processes import Process


def test_a_running_deployment_is_proved_with_a_cookie() -> None:
    """Scenarios that need faults of the provider, or stop processes, are not run."""
    with Cluster(2) as cluster:
        browser = cluster.browser()
        browser.log_in()
        there = ("--url", cluster.url(), "--cookie", str(browser.cookie))
        status, result = prove(*there)
        assert status == 0
        assert set(rows(result, "held")) == {"spa/cookie-profile", "spa/cookie-api"}
        assert len(rows(result, "not run")) > 20
        # The cookie is revoked now, and a refusal of it proves nothing.
        status, result = prove(*there)
        assert status == 1
        assert "before the logout" in rows(result, "broken")["spa/prepare"]


def test_a_deployment_whose_api_does_not_check_is_red() -> None:
    with Cluster() as cluster:
        command = [
            sys.executable, "-m", "demo.api", "--port", "0",
            "--issuer", cluster.issuer, "--audience", AUDIENCE,
        ]  # fmt: skip
        with Process(command, name="an API without the deny-list") as api:
            api_url = f"http://127.0.0.1:{api.wait_ready(20)['port']}/items"
            browser = cluster.browser()
            browser.log_in()
            token = cluster.issued("access_token")[-1]["value"]
            status, result = prove(
                "--url", cluster.url(), "--cookie", str(browser.cookie),
                "--access-token", token, "--api-url", api_url,
            )  # fmt: skip
    assert status == 1
    assert rows(result, "broken") == {"spa/access-token": "200 ×20"}
