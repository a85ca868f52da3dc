"""A page load is told by what no script can send, also behind a service worker."""

import pytest
from flask import Request
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from bff.core.errors import ServiceWorkerInterferes
from bff.web.page_load import is_page_load, refuse_all_but_page_loads
from bff.web.spa import is_app_page

HIDDEN = {"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty"}
"""What Firefox makes of a page load that a service worker passes on, and of a script's fetch."""


ANEW = [
    {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "empty", "Referer": f"https://app.test/{script}"}
    for mode in ("cors", "no-cors")
    for script in ("sw.js", "app/sw.mjs?v=1.2")
]
"""What every browser sends for a request that a worker makes of its own (seen in Chromium)."""


def request(headers: dict[str, str]) -> Request:
    return Request(EnvironBuilder(headers=Headers(headers)).get_environ())


@pytest.mark.parametrize(
    ("mode", "destination", "expected"),
    [
        ("navigate", "iframe", False), ("navigate", "object", False), ("cors", "empty", False),
        ("no-cors", "empty", False), ("no-cors", "image", False), ("same-origin", "empty", False),
        ("cors", "document", False), (None, "empty", False), (None, "image", False),
        ("cors", None, False),
        ("navigate", "document", True), ("navigate", "empty", True), (None, None, True),
        ("navigate", None, True), (None, "document", True),
    ],
)  # fmt: skip
def test_a_page_load_is_told_by_its_mode(
    mode: str | None, destination: str | None, expected: bool
) -> None:
    headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
    assert is_page_load(request({n: v for n, v in headers.items() if v})) is expected


@pytest.mark.parametrize("hidden", [HIDDEN, *ANEW])
def test_a_page_of_the_app_that_a_service_worker_hides_is_told_from_a_missing_file(
    hidden: dict[str, str],
) -> None:
    with pytest.raises(ServiceWorkerInterferes):
        refuse_all_but_page_loads(request(hidden))
    with pytest.raises(ServiceWorkerInterferes):
        is_app_page(request(hidden), "orders/7")
    assert not is_app_page(request(hidden), "missing.js")
    assert not is_app_page(request(hidden), "assets/missing")


@pytest.mark.parametrize("page", ["", "https://app.test/x", "https://app.test/?x=.js"])
def test_what_a_page_fetches_is_none_of_a_service_worker(page: str) -> None:
    fetched = request({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Referer": page})
    assert not is_app_page(fetched, "orders/7")
