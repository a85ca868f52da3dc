"""A log line is one line, whatever a caller sent, as text and as JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from flask import Flask

from bff.cli.logging_config import logging_config
from bff.core.log_lines import EXCEPTION_MAX_CHARACTERS, FIELDS, JSONLine, TextLine

FORGED = "2026-01-01 00:00:00,000 ERROR bff.audit forged"
HOSTILE = {
    "a line end": f"x\n{FORGED}",
    "a line end of Windows": f"x\r\n{FORGED}",
    "a return": f"x\r{FORGED}",
    "other line ends": f"x\x0b{FORGED}\x0c\x1c\x1d\x1e{FORGED}",
    "a next line": f"x\x85{FORGED}",
    "a line separator": f"x\u2028{FORGED}\u2029",
    "colours of a terminal": "x\x1b[2K\x1b[31mred",
    "a C1 sequence": "x\x9b31mred",
    "a zero byte": "x\0y",
    "delete": "x\x7f\x08y",
    "text that runs backwards": "x\u202ey\u2066z",
    "half a character": "x\ud800y",
    "the end of a JSON object": f'x"}}\n{{"event": "session_ended", "message": "{FORGED}',
}
LINE_ENDS = set("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")


def record(message: str, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("bff.test").makeRecord(
        "bff.test", logging.WARNING, __file__, 1, "%s", (message,), extra.pop("exc_info", None),
        extra=extra,
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_value_forges_a_line(text: str) -> None:
    for one in (record(text), record("x", **{FIELDS: {"method": text, "request_id": text}})):
        for formatter in (JSONLine(), TextLine()):
            line = formatter.format(one)
            assert line.isprintable(), "no control character, line end or change of direction"
        assert text in json.loads(JSONLine().format(one)).values()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_exception_forges_a_line(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        one = record("failed", exc_info=sys.exc_info())
    line = JSONLine().format(one)
    assert line.isprintable()
    assert text in json.loads(line)["exception"]
    first, *below = TextLine().format(one).split("\n")
    assert all(part.isprintable() and part.startswith("    ") for part in below)
    assert first.endswith("WARNING bff.test failed")
    assert "    Traceback (most recent call last):" in below


def test_a_line_has_a_bound_that_keeps_what_counts() -> None:
    try:
        raise ValueError("y" * 50_000 + "the end")
    except ValueError:
        one = record("the beginning" + "x" * 50_000, exc_info=sys.exc_info())
    line = json.loads(JSONLine().format(one))
    assert line["message"].startswith("the beginning")
    assert line["exception"].endswith("the end")
    assert len(JSONLine().format(one)) < 16_000, "the limit of container platforms"
    assert len(line["exception"]) < EXCEPTION_MAX_CHARACTERS + 10


def test_the_fields_of_a_line() -> None:
    app = Flask(__name__)
    with app.test_request_context():
        first, second = (JSONLine().format(record("BFF_ADMIN_KEY: x")) for _ in range(2))
    outside = json.loads(JSONLine().format(record("REDIS_URL and REDIS_URL")))
    fields = json.loads(first)
    assert list(fields) == ["at", "level", "logger", "message", "request_id", "variables"]
    assert fields["at"].endswith("+00:00")
    assert (fields["level"], fields["logger"]) == ("WARNING", "bff.test")
    assert fields["variables"] == ["BFF_ADMIN_KEY"]
    assert fields["request_id"] == json.loads(second)["request_id"]
    assert outside["variables"] == ["REDIS_URL"]
    assert "request_id" not in outside


def test_a_text_line_names_the_request_once() -> None:
    app = Flask(__name__)
    with app.test_request_context():
        named = json.loads(JSONLine().format(record("x")))["request_id"]
        assert TextLine().format(record("x")).endswith(f" bff.test x [{named}]")
        assert TextLine().format(record(f"x [{named}]")).count(named) == 1


@pytest.mark.parametrize(
    ("given", "ours", "of_others"),
    [
        ({}, "INFO", "INFO"),
        ({"BFF_LOG_LEVEL": "debug"}, "DEBUG", "INFO"),
        ({"BFF_LOG_LEVEL": "Warning"}, "WARNING", "WARNING"),
        ({"BFF_LOG_LEVEL": "error"}, "ERROR", "ERROR"),
        ({"BFF_LOG_LEVEL": "loud"}, "INFO", "INFO"),
    ],
)
def test_a_level_is_for_our_lines_and_libraries_never_log_at_debug(
    given: dict[str, str], ours: str, of_others: str
) -> None:
    config = logging_config(given)
    levels = {name: one.get("level") for name, one in config["loggers"].items()}
    assert config["root"]["level"] == config["handlers"]["servers"]["level"] == of_others
    assert levels.pop("bff") == ours
    assert levels["bff.audit"] == levels["bff.responses"] == "INFO", "complete at any level"
