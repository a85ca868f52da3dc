"""Spans reach the collector or are lost: requests never wait for it, and the log stays short."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import TracerProvider

from bff.app.traces import sender as sender_module
from bff.app.traces.collector import Collector
from bff.app.traces.sender import SpanSender
from tests.support.collector import ReceivedTraces, start_collector
from tests.support.processes import free_port
from tests.support.waiting import wait_for

FAST = {"OTEL_BSP_SCHEDULE_DELAY": "10"}
SLOW = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}


@pytest.fixture(scope="module")
def traces() -> Iterator[ReceivedTraces]:
    with start_collector() as started:
        yield started


@pytest.fixture(autouse=True)
def forgotten(traces: ReceivedTraces, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of%20the%20collector")
    traces.respond = lambda: 200
    traces.spans.clear()
    yield
    traces.respond = lambda: 200


def emitter(sender: SpanSender) -> Callable[..., None]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(sender)
    tracer = provider.get_tracer("test")

    def emit(*names: str) -> None:
        for name in names:
            tracer.start_span(name).end()

    return emit


def names(traces: ReceivedTraces) -> list[str]:
    return [one.name for one in traces.spans]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_spans_arrive_in_their_order_with_the_collector_s_key(traces: ReceivedTraces) -> None:
    sender = SpanSender(Collector(), FAST)
    emitter(sender)("a", "b", "c")
    wait_for(lambda: names(traces) == ["a", "b", "c"], "all spans")
    assert traces.headers[-1]["x-key"] == "of the collector"
    sender.shutdown()


def test_the_end_of_a_process_sends_what_is_left(traces: ReceivedTraces) -> None:
    sender = SpanSender(Collector(), SLOW | {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"})
    emit = emitter(sender)
    emit("a")
    sender.shutdown()
    sender.shutdown()
    emit("late")
    assert names(traces) == ["a"]


def test_a_full_batch_is_sent_at_once(traces: ReceivedTraces) -> None:
    sender = SpanSender(Collector(), SLOW | {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"})
    emitter(sender)("a", "b")
    wait_for(lambda: names(traces) == ["a", "b"], "both spans")
    sender.shutdown()


class Recorded(Collector):
    """A collector that does what the test says."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.sent: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.gave_up = False

    def send(self, spans: Sequence[object]) -> str:
        self.open.wait(20)
        self.sent.append(len(spans))
        return self.problem

    def wait_for_attempt(self, number: int) -> None:
        wait_for(lambda: len(self.sent) == number, "an attempt")

    def give_up(self) -> None:
        self.gave_up = True
        self.open.set()

    def forget_connections(self) -> None:
        pass


def test_a_collector_that_takes_nothing_is_told_once_and_its_return_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    collector = Recorded("status 503")
    sender = SpanSender(collector, FAST, lambda: now[0])
    emit = emitter(sender)
    for number in range(1, 6):
        emit("x")
        collector.wait_for_attempt(number)
        now[0] += 600
    collector.problem = ""
    for number in range(6, 9):
        emit("x")
        collector.wait_for_attempt(number)
        now[0] += 600
    sender.shutdown()
    assert lines(caplog) == [
        "spans get lost, since the collector doesn't take them: status 503",
        "the collector takes spans; 5 of earlier ones were lost",
    ]


def test_one_that_comes_and_goes_gets_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    collector = Recorded()
    sender = SpanSender(collector, FAST, lambda: now[0])
    emit = emitter(sender)
    for number in range(1, 61):
        collector.problem = "" if number % 2 else "ConnectionError"
        emit("x")
        collector.wait_for_attempt(number)
        now[0] += 3.0
    sender.shutdown()
    assert 1 < len(lines(caplog)) <= 4


def test_requests_don_t_wait_for_a_slow_collector_and_the_oldest_spans_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector = Recorded()
    collector.open.clear()
    sender = SpanSender(collector, FAST | {"OTEL_BSP_MAX_QUEUE_SIZE": "10"})
    emit = emitter(sender)
    emit("first")
    wait_for(lambda: not sender._queue, "the thread has it")
    began_at = time.monotonic()
    emit(*(["x"] * 1000))
    assert time.monotonic() - began_at < 5
    assert len(sender._queue) == 10
    assert lines(caplog) == []
    collector.open.set()
    wait_for(lambda: collector.sent == [1, 10], "the rest")
    sender.shutdown()
    assert lines(caplog) == ["the collector takes spans; 990 of earlier ones were lost"]


@pytest.mark.parametrize("problem", ["", "ConnectionError"])
def test_an_end_waits_for_no_collector_longer_than_a_few_seconds(
    problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at all, if it took nothing before."""
    monkeypatch.setattr(sender_module, "FLUSH_SECONDS", 0.2 if not problem else 60)
    collector = Recorded(problem)
    sender = SpanSender(collector, FAST)
    emit = emitter(sender)
    emit("x")
    wait_for(lambda: sender._failing == bool(problem) and collector.sent == [1], "an attempt")
    collector.open.clear()
    emit("x")
    wait_for(lambda: not sender._queue, "the thread is in the next attempt")
    began_at = time.monotonic()
    sender.shutdown()
    assert time.monotonic() - began_at < 20
    assert collector.gave_up == bool(problem)
    collector.open.set()


@pytest.mark.parametrize("state", ["refuses", "away"])
def test_neither_the_library_nor_we_say_more_of_a_real_one(
    traces: ReceivedTraces,
    state: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if state == "away":
        url = f"http://127.0.0.1:{free_port()}/?key=of-the-collector"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)
    traces.respond = lambda: 401
    caplog.set_level(logging.INFO)
    sender = SpanSender(Collector(), FAST)
    emit = emitter(sender)
    emit("x")
    if state == "away":
        # It tries again for ten seconds; an end interrupts that.
        monkeypatch.setattr(sender_module, "FLUSH_SECONDS", 0.1)
        wait_for(lambda: not sender._queue, "the thread has it")
        sender.shutdown()
        sender._collector.give_up()
        assert sender._thread is not None
        sender._thread.join(20)
        problem = "ConnectionError"
    else:
        wait_for(lambda: sender._failing, "the refusal")
        emit("y")
        wait_for(lambda: sender._lost == 2, "the next one")
        sender.shutdown()
        problem = "status 401"
    assert lines(caplog) == [f"spans get lost, since the collector doesn't take them: {problem}"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_sends_its_own_spans_over_its_own_connections(
    traces: ReceivedTraces,
) -> None:
    sender = SpanSender(Collector(), SLOW)
    emit = emitter(sender)
    emit("of the parent")
    child = os.fork()
    if not child:
        try:
            emit("of the child")
            sender.shutdown()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    sender.shutdown()
    assert sorted(names(traces)) == ["of the child", "of the parent"]
