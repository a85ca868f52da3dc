"""What is in a log line, as text for people and as JSON for machines?

All fields are made in one place (`fields`). A line is one line whatever a caller sent: text has
escapes for all that can't be printed, and JSON is ASCII (CWE-117). Only a traceback takes several
lines of text; these are indented, so none of them can pass for a line of the log.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import has_request_context

from bff.core.request_id import request_id
from bff.core.trace_ids import trace_id

MESSAGE_MAX_CHARACTERS = 4_000
EXCEPTION_MAX_CHARACTERS = 8_000
"""Of its end, which says what happened. Container platforms split a line at 16 KB."""
FIELDS = "fields"
"""In `extra` of a call of the logger: a dictionary of more fields, which machines read."""
CUT = "[...]"
_SETTING = re.compile(r"\b(?:AUTH0|OIDC|APP|REDIS|BFF)_[A-Z0-9_]*[A-Z0-9]\b")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a line, in their order; those that it lacks are left out."""
    found: dict[str, Any] = {
        "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "message": _beginning(record.getMessage()),
    }
    if has_request_context():
        found["request_id"] = request_id()
    if traced := trace_id():
        found["trace_id"] = traced
    found |= getattr(record, FIELDS, {})
    if record.levelno >= logging.WARNING and (named := _SETTING.findall(found["message"])):
        found["variables"] = list(dict.fromkeys(named))
    if record.exc_info and record.exc_info[0]:
        found["exception"] = _end(_formatter.formatException(record.exc_info))
    if record.stack_info:
        found["stack"] = _end(record.stack_info)
    return found


class JSONLine(logging.Formatter):
    """A JSON object in one line of ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of *record*."""
        found = fields(record)
        try:
            line = _fast.encode(found)
        except UnicodeEncodeError:  # Half of a character that takes two.
            line = b"\xff"
        if not line.isascii():
            line = _in_ascii.encode(found).encode()
        # JSON escapes every control character but this one.
        return line.replace(b"\x7f", b"\\u007f").decode()


class TextLine(logging.Formatter):
    """Time, level, logger, message and request id; a traceback below, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of *record*."""
        found = fields(record)
        line = f"{self.formatTime(record)} {found['level']} {found['logger']} {found['message']}"
        reference = found.get("request_id")
        # Many messages name it themselves.
        if reference and reference not in line:
            line += f" [{reference}]"
        if "trace_id" in found:
            line += f" trace_id={found['trace_id']}"
        below = [found[name] for name in ("exception", "stack") if name in found]
        lines = [line, *(f"    {one}" for text in below for one in text.split("\n"))]
        return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    """*text* with escapes for control characters, line ends, and marks that change direction."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _beginning(text: str) -> str:
    return text if len(text) <= MESSAGE_MAX_CHARACTERS else text[:MESSAGE_MAX_CHARACTERS] + CUT


def _end(text: str) -> str:
    return text if len(text) <= EXCEPTION_MAX_CHARACTERS else CUT + text[-EXCEPTION_MAX_CHARACTERS:]


_fast = msgspec.json.Encoder(enc_hook=str)
_in_ascii = json.JSONEncoder(default=str, separators=(",", ":"))
_formatter = logging.Formatter()
