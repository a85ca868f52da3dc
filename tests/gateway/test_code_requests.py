"""A file of an API can't act as a script, a worker or a style sheet of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bff.config.route import Route
from bff.core.errors import CodeRefused
from bff.gateway.code_requests import refuse_code
from tests.gateway.conftest import RunningProxy
from tests.support import raw_client
from tests.support.raw_upstream import responding

ROUTE = Route(prefix="/api", upstream_urls=("http://api.test",))
CODE = [
    "Sec-Fetch-Dest: script", "Sec-Fetch-Dest: style", "Sec-Fetch-Dest: worker",
    "Sec-Fetch-Dest: sharedworker", "Sec-Fetch-Dest: serviceworker", "Sec-Fetch-Dest: xslt",
    "Sec-Fetch-Dest: audioworklet", "Sec-Fetch-Dest: paintworklet", "Service-Worker: script",
]  # fmt: skip
DATA = [
    "Accept: */*", "Sec-Fetch-Dest: empty", "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: image",
    "Sec-Fetch-Dest: font", "Sec-Fetch-Dest: json", "Sec-Fetch-Dest: iframe",
]  # fmt: skip


@pytest.mark.parametrize("header", CODE)
def test_what_a_page_would_run_is_refused(proxy: RunningProxy, header: str) -> None:
    proxy.raw.script = responding()
    received = raw_client.request(proxy.port, "/api/upload.js", header)
    assert (received.status, b"code_refused" in received.body) == (403, True)
    assert proxy.raw.seen == []


@pytest.mark.parametrize("header", DATA)
def test_what_a_page_reads_or_shows_passes(proxy: RunningProxy, header: str) -> None:
    assert raw_client.request(proxy.port, "/api/upload.js", header).status == 200


def test_a_route_may_allow_it() -> None:
    environ = {"HTTP_SEC_FETCH_DEST": "script"}
    refuse_code(environ, replace(ROUTE, code=True))
    with pytest.raises(CodeRefused):
        refuse_code(environ, ROUTE)
