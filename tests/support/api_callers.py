"""In which ways can an API ask whether a copied access token is alive? Each as a function."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import requests

from tests.support.cluster import TIMEOUT_SECONDS, Cluster

CLIENT_ID = "orders-api"
CLIENT_SECRET = "an introspection secret: 40 characters %+"  # noqa: S105
ASKING = {"BFF_INTROSPECTION_CLIENTS": f"other-api:{'o' * 40},{CLIENT_ID}:{CLIENT_SECRET}"}
"""Settings of a BFF that may be asked."""

DEAD = 401


def at_the_api(cluster: Cluster, token: str) -> int:
    """The status of the demo API, past the BFF: it asks Redis itself."""
    return _get(f"{cluster.api_url}/items", token)


def by_introspection(
    cluster: Cluster, token: str, replica: int = 0, audience: str | None = None
) -> int:
    """200 if the BFF calls it active, 401 if not, else the BFF's own status."""
    answer = introspect(cluster, {"token": token}, replica=replica, audience=audience)
    if answer.status_code != 200:
        return answer.status_code
    told = answer.json()
    assert told["active"] or told == {"active": False}
    return 200 if told["active"] else DEAD


def by_token_check(
    cluster: Cluster, token: str, replica: int = 0, audience: str | None = None
) -> int:
    """What nginx would be told; 200 for its 204."""
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
    """Ask as Spring does: a form, and Basic."""
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
    answer = requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    return answer.status_code
