"""Where do spans go? To the collector of `OTEL_EXPORTER_OTLP_…`: OTLP over HTTP, protobuf."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from requests.adapters import HTTPAdapter

THREAD = "bff-traces"
"""The one that sends."""


class Collector:
    """One collector, for the thread named `THREAD`; reads the variables when it is made."""

    def __init__(self) -> None:
        self._session = _Session()
        self._exporter = trace_exporter.OTLPSpanExporter(session=self._session)
        # It logs each failure, perhaps with the address, which may have a key in it.
        logging.getLogger(trace_exporter.__name__).addFilter(_is_of_others)

    def send(self, spans: Sequence[ReadableSpan]) -> str:
        """Send *spans*; returns what went wrong, in a few words, or nothing."""
        self._session.problem = ""
        try:
            if self._exporter.export(spans) is SpanExportResult.SUCCESS:
                return ""
        except Exception as error:  # The thread must go on.
            return type(error).__name__
        return self._session.problem or "refused"

    def give_up(self) -> None:
        """End the wait between two attempts; nothing is sent from now on."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def forget_connections(self) -> None:
        """Use new ones: those of a parent process are its own."""
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter())


class _Session(requests.Session):
    """Knows what went wrong with its last request, without what it said."""

    problem = ""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """As its base."""
        try:
            response = super().request(*args, **options)
        except Exception as error:
            self.problem = type(error).__name__
            raise
        self.problem = "" if response.ok else f"status {response.status_code}"
        return response


def _is_of_others(record: logging.LogRecord) -> bool:
    return threading.current_thread().name != THREAD
