"""What can't be traced is an error at the start, with the variable and what to do."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from bff.config import load, trace_options
from bff.core.errors import ConfigError
from tests.config.test_settings import GOOD
from tests.test_requirements import asked_for

OTLP = "OTEL_EXPORTER_OTLP"


def problems(**variables: str) -> list[str]:
    try:
        load(GOOD | {"BFF_TRACES": "on"} | variables)
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("BFF_TRACES", ["yes", "callers_sample", "on,everything", "on,off"],
         ["on", "off", "on,to_provider", "on, callers_sample"]),
        ("OTEL_TRACES_SAMPLER", ["jaeger_remote", "parentbased"], ["parentbased_always_on"]),
        ("OTEL_TRACES_EXPORTER", ["console", "zipkin", "otlp,console"], ["otlp"]),
        (f"{OTLP}_ENDPOINT", ["collector:4318", "grpc://collector", "http://", "http://c:x"],
         ["http://collector:4318", "https://collector/v1/traces"]),
        (f"{OTLP}_TRACES_ENDPOINT", ["collector"], ["http://collector:4318/x"]),
        (f"{OTLP}_PROTOCOL", ["grpc", "http/json"], ["http/protobuf"]),
        (f"{OTLP}_TRACES_PROTOCOL", ["grpc"], ["http/protobuf"]),
        (f"{OTLP}_COMPRESSION", ["brotli"], ["gzip", "none"]),
        (f"{OTLP}_TIMEOUT", ["soon", "-1", "0"], ["5", "0.5"]),
        (f"{OTLP}_CERTIFICATE", ["/nowhere"], [__file__]),
        (f"{OTLP}_TRACES_CLIENT_KEY", ["/nowhere"], [__file__]),
        (f"{OTLP}_HEADERS", ["the-key", "x-key=1,the-key", "x key=1", "x=the-key;a", 'x="', "=x"],
         ["authorization=Bearer%20x", "a=Bearer x, b = y=z,"]),
        ("OTEL_RESOURCE_ATTRIBUTES", ["shop"], ["deployment.environment.name=test,a=b"]),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", ["-1", "x"], ["0", "128"]),
        ("OTEL_BSP_SCHEDULE_DELAY", ["0", "1.5", "x"], ["100"]),
        ("OTEL_BSP_MAX_QUEUE_SIZE", ["0"], ["100"]),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", ["-5"], ["100"]),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_and_a_good_one_passes(
    name: str, bad: list[str], good: list[str]
) -> None:
    for value in bad:
        [problem] = problems(**{name: value})
        assert problem.startswith(f"{name}: must be "), value
        assert "the-key" not in problem
    for value in good:
        assert problems(**{name: value}) == []


@pytest.mark.parametrize("value", ["2", "-0.1", "x", "nan"])
def test_a_ratio_is_from_0_to_1(value: str) -> None:
    name = "OTEL_TRACES_SAMPLER_ARG"
    variables = {"OTEL_TRACES_SAMPLER": "traceidratio", name: value}
    assert problems(**variables) == [f"{name}: must be a number from 0 to 1"]
    assert problems(**{name: value}) == [], "no sampler asks for it"


@pytest.mark.parametrize("off", [{"BFF_TRACES": "off"}, {"OTEL_SDK_DISABLED": "True"}])
def test_off_nothing_of_it_is_looked_at(
    off: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", missing)
    assert problems(OTEL_TRACES_SAMPLER="x", **off) == []


def missing(package: str) -> str:
    raise metadata.PackageNotFoundError(package)


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        (missing, "opentelemetry-api isn't installed: pip install bff[otel]"),
        (lambda _: "1.10.0", "opentelemetry-api 1.10.0 doesn't fit: pip install bff[otel]"),
        (lambda _: "2.0.0", "opentelemetry-api 2.0.0 doesn't fit: pip install bff[otel]"),
        (lambda _: "1.99.0", None),
    ],
)
def test_a_missing_or_wrong_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, version: object, problem: str | None
) -> None:
    monkeypatch.setattr(metadata, "version", version)
    assert problems() == ([f"BFF_TRACES: {problem}"] if problem else [])


def test_the_packages_are_those_of_the_extra() -> None:
    assert asked_for("requirements-otel") == set(trace_options.PACKAGES)
    lines = (Path(__file__).parents[2] / "requirements-otel.in").read_text().splitlines()
    major, minor = trace_options.OLDEST
    wanted = {
        f"{one}>={major}.{minor},<{trace_options.NEXT_MAJOR}" for one in trace_options.PACKAGES
    }
    assert wanted < set(lines)


def test_the_key_for_the_collector_is_a_secret(tmp_path: Path) -> None:
    key = {f"{OTLP}_HEADERS": "authorization=Bearer%20hunter2"}
    assert load(GOOD | {"BFF_TRACES": "on"} | key).secret_variables >= trace_options.SECRETS
    assert not trace_options.SECRETS & load(GOOD | key).secret_variables
    assert "hunter2" not in repr(load(GOOD | {"BFF_TRACES": "on"} | key))


def test_the_variables_of_a_dotenv_file_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    lines = (f"{name}={value}\n" for name, value in (GOOD | {"OTEL_SERVICE_NAME": "shop"}).items())
    file.write_text("".join(lines))
    for name in GOOD:
        monkeypatch.delenv(name, raising=False)
    config = load(env_file=str(file))
    assert config.trace_variables["OTEL_SERVICE_NAME"] == "shop"
