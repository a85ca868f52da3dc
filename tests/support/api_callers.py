"""In which ways can an API check whether an access token is valid? Each as a function."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import requests

from tests.support.cluster import TIMEOUT_SECONDS, Cluster

CLIENT_ID = "orders-api"
CLIENT_SECRET = "an introspection secret: 40 characters %+"  # noqa: S105
ASKING = {"BFF_INTROSPECTION_CLIENTS": f"other-api:{'o' * 40},{CLIENT_ID}:{CLIENT_SECRET}"}
"""Settings of a BFF with introspection clients."""

INVALID = 401


def at_the_api(cluster: Cluster, token: str) -> int:
    """The status of the demo API, without the BFF: the API looks in Redis itself."""
    return _get(f"{cluster.api_url}/items", token)


def by_introspection(
    cluster: Cluster, token: str, replica: int = 0, audience: str | None = None
) -> int:
    """200 if the token is active, 401 if not, else the status of the BFF."""
    response = introspect(cluster, {"token": token}, replica=replica, audience=audience)
    if response.status_code != 200:
        return response.status_code
    members = response.json()
    assert members["active"] or members == {"active": False}
    return 200 if members["active"] else INVALID


def by_token_check(
    cluster: Cluster, token: str, replica: int = 0, audience: str | None = None
) -> int:
    """The status that nginx would receive, but 200 instead of 204."""
    status = _get(f"{cluster.url(replica)}/auth/check-token{_query(audience)}", token)
    return 200 if status == 204 else status


WAYS = (at_the_api, by_introspection, by_token_check)


def introspect(
    cluster: Cluster,
    form: object,
    *,
    replica: int = 0,
    audience: str | None = None,
    auth: tuple[str, str] | None = (CLIENT_ID, CLIENT_SECRET),
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """Send the request as Spring does: a form, and Basic."""
    return requests.post(
        f"{cluster.url(replica)}/auth/introspect{_query(audience)}",
        data=form,  # type: ignore[arg-type]
        auth=auth,
        headers=headers,
        timeout=TIMEOUT_SECONDS,
        allow_redirects=False,
    )


def _query(audience: str | None) -> str:
    return "" if audience is None else f"?audience={quote(audience, safe='')}"


def _get(url: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    response = requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    return response.status_code
