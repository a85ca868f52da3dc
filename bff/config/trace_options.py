"""Are traces on, and do OpenTelemetry's variables and packages allow them?

Where OpenTelemetry's SDK logs that a variable is wrong and goes on with a default, a wrong one is
an error here, as any other setting is. docs/traces.md lists the variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from bff.config.validators import CommaSeparated

SETTING = "BFF_TRACES"
PREFIX = "OTEL_"
INSTALL = "pip install bff[otel]"
PACKAGES = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
OLDEST, NEXT_MAJOR = (1, 45), 2
"""As in requirements-otel.in."""
SECRETS = frozenset({"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"})
"""They hold the key for the collector."""

ON, CALLERS_SAMPLE, TO_PROVIDER = "on", "callers_sample", "to_provider"
WORDS = (ON, CALLERS_SAMPLE, TO_PROVIDER)
SAMPLERS = (
    "always_on", "always_off", "traceidratio",
    "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
)  # fmt: skip


def _words(given: tuple[str, ...]) -> tuple[str, ...]:
    if given in ((), ("off",)):
        return ()
    if ON not in given or set(given) - set(WORDS):
        raise ValueError(f"must be off, or on, or on with {CALLERS_SAMPLE} or {TO_PROVIDER}")
    return given


TraceOptions = Annotated[CommaSeparated, AfterValidator(_words)]


def are_on(options: tuple[str, ...], variables: Mapping[str, str]) -> bool:
    """Whether there are traces: not if OpenTelemetry itself is switched off by its variable."""
    return ON in options and variables.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"


def variables_of(environ: Mapping[str, str]) -> dict[str, str]:
    """OpenTelemetry's variables."""
    return {name: value for name, value in environ.items() if name.startswith(PREFIX) and value}


def problems(environ: Mapping[str, str]) -> list[str]:
    """What stands in the way of traces, if *environ* switches them on."""
    options = tuple(word.strip() for word in environ.get(SETTING, "").split(","))
    if not are_on(options, environ):
        return []
    found = _of_packages()
    for name, (check, expected) in _CHECKS.items():
        value = environ.get(name)
        if value and not check(value.strip()):
            found.append(f"{name}: must be {expected}")
    ratio = environ.get("OTEL_TRACES_SAMPLER_ARG", "1")
    if environ.get("OTEL_TRACES_SAMPLER", "").endswith("traceidratio") and not _is_ratio(ratio):
        found.append("OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1")
    return found


def _of_packages() -> list[str]:
    for package in PACKAGES:
        try:
            text = metadata.version(package)
        except metadata.PackageNotFoundError:
            return [f"{SETTING}: {package} isn't installed: {INSTALL}"]
        version = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
        if version < OLDEST or version >= (NEXT_MAJOR,):
            return [f"{SETTING}: {package} {text} doesn't fit: {INSTALL}"]
    return []


def _is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) > 0


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _are_pairs(text: str) -> bool:
    """Else OpenTelemetry would log what it doesn't understand, and it may be the key."""
    return all(_PAIR.fullmatch(one.strip()) for one in text.split(",") if one.strip())


def _is_limit(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_one_of(*words: str) -> Callable[[str], bool]:
    return lambda text: text.lower() in words


_PAIR = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*=[^\x00-\x1f\x7f-\U0010ffff\",;\\]*")
_LIMITS = [
    f"OTEL_{name}_LIMIT"
    for name in (
        "ATTRIBUTE_COUNT", "ATTRIBUTE_VALUE_LENGTH", "SPAN_ATTRIBUTE_COUNT",
        "SPAN_ATTRIBUTE_VALUE_LENGTH", "SPAN_EVENT_COUNT", "SPAN_LINK_COUNT",
        "EVENT_ATTRIBUTE_COUNT", "LINK_ATTRIBUTE_COUNT",
    )
]  # fmt: skip

_Check = tuple[Callable[[str], bool], str]
_OF_EXPORTER: dict[str, _Check] = {
    "ENDPOINT": (_is_url, "an address such as http://collector:4318"),
    "PROTOCOL": (_is_one_of("http/protobuf"), "http/protobuf"),
    "COMPRESSION": (_is_one_of("none", "gzip", "deflate"), "none, gzip or deflate"),
    "HEADERS": (_are_pairs, "name=value, comma-separated, percent-encoded"),
    "TIMEOUT": (lambda text: _is_count(text.replace(".", "", 1)), "a number of seconds"),
    **dict.fromkeys(
        ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"),
        (lambda text: Path(text).is_file(), "a readable file"),
    ),
}
_CHECKS: dict[str, _Check] = {
    "OTEL_TRACES_EXPORTER": (_is_one_of("otlp"), "otlp"),
    "OTEL_TRACES_SAMPLER": (_is_one_of(*SAMPLERS), f"one of {', '.join(SAMPLERS)}"),
    "OTEL_RESOURCE_ATTRIBUTES": (_are_pairs, "name=value, comma-separated, percent-encoded"),
    **dict.fromkeys(_LIMITS, (_is_limit, "a number")),
    **dict.fromkeys(
        ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        (_is_count, "a number above 0"),
    ),
    **{
        f"OTEL_EXPORTER_OTLP_{of_traces}{name}": check
        for of_traces in ("", "TRACES_")
        for name, check in _OF_EXPORTER.items()
    },
}
