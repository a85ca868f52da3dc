"""What does a trace look like? `python -m tests.traces.show` makes one, and prints it as a picture.

A browser calls the demo API through the BFF with an access token that has expired.
"""

from __future__ import annotations

from tests.support.ageing import age_access_token
from tests.support.cluster import Cluster
from tests.support.collector import start_collector
from tests.support.trace_picture import picture

TRACE_ID, BROWSER_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def main() -> None:
    """Print the trace of the second request: the first one opens the connections."""
    with start_collector() as traces:
        env = {
            "BFF_TRACES": "on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        with Cluster(env=env) as cluster:
            browser = cluster.browser()
            browser.log_in()
            for trace_id in (TRACE_ID[::-1], TRACE_ID):
                age_access_token(cluster, browser.cookie, 0)
                headers = {"traceparent": f"00-{trace_id}-{BROWSER_SPAN}-01"}
                browser.api("/items", headers=headers)
            print(picture(traces.wait_for_trace(TRACE_ID, root="GET /api")))


if __name__ == "__main__":
    main()
