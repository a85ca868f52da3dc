"""From the browser to the API it is one trace, whichever process serves; it says nothing secret."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.ageing import age_access_token, session_key
from tests.support.browser_client import BrowserClient
from tests.support.cluster import CLIENT_SECRET, EMAIL, PASSWORD, Cluster
from tests.support.collector import ReceivedTraces, start_collector
from tests.support.leaks import leaks, tokens_of
from tests.support.provider_form import sign_in_at_provider
from tests.support.trace_picture import picture
from tests.support.waiting import wait_for

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e47{:02x}"
BROWSER_SPAN = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def traces() -> Iterator[ReceivedTraces]:
    with start_collector() as started:
        yield started


@pytest.fixture(scope="module")
def cluster(traces: ReceivedTraces) -> Iterator[Cluster]:
    env = {
        "BFF_TRACES": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    with Cluster(replicas=2, env=env) as started:
        yield started


@pytest.fixture(scope="module")
def browser(cluster: Cluster) -> BrowserClient:
    started = cluster.browser()
    started.log_in()
    return started


def traced(trace_id: str) -> dict[str, str]:
    return {
        "traceparent": f"00-{trace_id}-{BROWSER_SPAN}-01",
        "tracestate": "shop=1",
        "baggage": "user=dana",
    }


@pytest.mark.parametrize("replica", [0, 1])
def test_a_trace_leads_from_the_browser_to_the_api(
    cluster: Cluster, browser: BrowserClient, traces: ReceivedTraces, replica: int
) -> None:
    age_access_token(cluster, browser.cookie, 0)
    trace_id = TRACE_ID.format(replica)
    asked = browser.api("/whoami", replica=replica, headers=traced(trace_id))
    assert asked.status_code == 200, asked.text

    spans = traces.wait_for_trace(trace_id, root="GET /api", parent=BROWSER_SPAN)
    print(f"\n{picture(spans)}")
    [request] = (one for one in spans if one.kind == "SERVER")
    below = [one for one in spans if one is not request]
    assert {one.parent_id for one in below} == {request.span_id}
    names = {"EVALSHA load", "EVALSHA replace_tokens", "POST /oauth/token", "GET /api"}
    assert {one.name for one in below} >= names
    assert all(
        request.began_at <= one.began_at <= one.ended_at <= request.ended_at for one in below
    )
    assert not any(one.failed for one in spans)
    assert {one.state for one in spans} == {"shop=1"}

    [upstream] = (one for one in below if one.name == "GET /api")
    received = asked.json()
    told = received["header_values"]["Traceparent"]
    assert told == f"00-{trace_id}-{upstream.span_id}-01"
    assert "baggage" not in {name.lower() for name in received["header_names"]}
    for one in (request, upstream):
        assert one.attributes["http.response.status_code"] == 200
    port = urlsplit(cluster.api_url).port
    assert (upstream.attributes["server.address"], upstream.attributes["server.port"]) == (
        "127.0.0.1", port,
    )  # fmt: skip


def test_the_spans_say_whose_they_are(
    cluster: Cluster, browser: BrowserClient, traces: ReceivedTraces
) -> None:
    for replica in (0, 1):
        browser.api("/items", replica=replica, headers=traced(TRACE_ID.format(16 + replica)))
    spans = [traces.wait_for_trace(TRACE_ID.format(16 + i), root="GET /api")[0] for i in (0, 1)]
    assert len({one.resource["service.instance.id"] for one in spans}) == 2
    for one in spans:
        assert one.resource["service.name"] == "bff"
        assert one.resource["deployment.environment.name"] == "test"
        assert set(one.resource) == {
            "service.name", "service.version", "service.instance.id", "deployment.environment.name",
            "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version",
        }  # fmt: skip


def test_an_error_of_ours_is_in_its_span_and_its_trace_in_the_logs(
    cluster: Cluster, traces: ReceivedTraces
) -> None:
    trace_id = TRACE_ID.format(32)
    stranger = cluster.browser()
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert stranger.api("/items", headers=traced(trace_id) | foreign).status_code == 403
    [request] = traces.wait_for_trace(trace_id, root="GET /api")
    assert request.attributes["bff.error"] == "cross_site"
    assert not request.failed, "the caller's fault"
    replica = cluster.replicas[0]
    wait_for(lambda: "cross_site" in replica.output, "the lines")
    own = [line for line in replica.output.splitlines() if trace_id in line]
    assert any(line.startswith("{") and json.loads(line)["trace_id"] == trace_id for line in own)
    assert any(not line.startswith("{") and "cross_site" in line for line in own)


def test_a_stream_s_span_ends_with_the_stream(
    browser: BrowserClient, traces: ReceivedTraces
) -> None:
    trace_id = TRACE_ID.format(48)
    stream = browser.api("/events", headers=traced(trace_id), stream=True)
    began_at = time.time()
    pieces = stream.iter_content(None)
    first = next(pieces)
    wait_for(lambda: bool(traces.trace(trace_id)), "the request to the API has ended")
    assert first
    assert [one.kind for one in traces.trace(trace_id)].count("SERVER") == 0
    stream.close()
    [request] = (
        one for one in traces.wait_for_trace(trace_id, root="GET /api") if one.kind == "SERVER"
    )
    assert request.ended_at > began_at


def test_nothing_secret_and_no_user_is_in_any_span(
    cluster: Cluster, traces: ReceivedTraces
) -> None:
    browser = cluster.browser()
    authorize = browser.authorize_url("/auth/login?returnTo=/orders/return-to-secret")
    callback = sign_in_at_provider(browser.at_provider, authorize, EMAIL, PASSWORD)
    assert browser.come_back(callback).status_code == 303
    cookie = browser.cookie
    profile = browser.profile().json()
    age_access_token(cluster, cookie, 0)
    browser.api("/whoami/path-secret?q=query-secret", headers={"X-Api-Key": "header-secret"})
    browser.fetch("POST", "/api/items", json={"title": "body-secret"})
    browser.fetch("GET", "/auth/sessions")
    browser.fetch("GET", "/auth/callback?code=code-secret&state=state-secret")
    browser.navigate("/no/such/page-secret?x=query-secret")
    assert browser.log_out().ok
    last = TRACE_ID.format(64)
    browser.fetch("GET", "/auth/profile", headers=traced(last))
    traces.wait_for_trace(last, root="GET /auth/profile")

    wait_for(lambda: any(one.name == "GET /auth/callback" for one in traces.spans), "all spans")
    secrets = {
        EMAIL, PASSWORD, CLIENT_SECRET, cluster.secret, cookie or "", session_key(cookie)[:12],
        profile["user"]["sub"], profile["user"]["name"],
        *tokens_of(cluster.control("GET", "tokens")),
        *(value for _, value in parse_qsl(urlsplit(callback).query) if len(value) > 8),
        *(v for k, v in parse_qsl(urlsplit(authorize).query) if k in ("state", "nonce")),
        *(f"{of}-secret" for of in ("path", "query", "header", "body", "code", "state", "page",
                                    "return-to")),
        "python-requests", "user=dana",
    }  # fmt: skip
    issuer_values = {cluster.issuer, cluster.issuer.rstrip("/")}
    said = [("a span", body.decode("latin-1")) for body in traces.bodies]
    assert leaks(secrets - issuer_values, said) == []
    keys = {key for one in traces.spans for key in one.attributes}
    assert keys <= {
        "http.request.method", "http.route", "http.response.status_code", "url.scheme",
        "server.address", "server.port", "db.system.name", "db.operation.name", "error.type",
        "db.stored_procedure.name",
        "bff.error",
    }  # fmt: skip
    assert len(keys) >= 9
