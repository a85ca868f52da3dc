"""Which values does the chart refuse, and do settings arrive as they were meant?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bff import config
from tests.charts.manifests import VALUES, environment, objects_of
from tests.charts.tools import CHART, Refused, objects, rendered, run

REFUSED = {
    "a misspelt value": ("replicas=3", "replicas"),
    "a setting that doesn't exist": ("settings.BFF_AUDIENCE=x", "BFF_AUDIENCE"),
    "a secret among the settings": ("settings.AUTH0_SECRET=x", "AUTH0_SECRET"),
    "a key of the collector": (
        "settings.OTEL_EXPORTER_OTLP_HEADERS=x",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ),
    "a file of its own for a secret": ("settings.AUTH0_SECRET_FILE=/x", "AUTH0_SECRET_FILE"),
    "a file for what is no secret": ("secret.files.APP_BASE_URL=x", "APP_BASE_URL"),
    "a variable with its value": ("extraEnv[0].value=x", "extraEnv"),
    "a budget that lets no node be drained": ("podDisruptionBudget.minAvailable=1", "minAvailable"),
    "no time for the end": ("shutdown.marginSeconds=0", "marginSeconds"),
    "half a digest": ("image.digest=sha256:abc", "digest"),
}
LEAST = VALUES / "least.yaml"


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_by_its_name(case: str) -> None:
    wrong, named = REFUSED[case]
    with pytest.raises(Refused, match=named):
        rendered("--values", LEAST, "--set", wrong)


FILES = {
    "AUTH0_SECRET_FILE": "k" * 64,
    "AUTH0_CLIENT_SECRET_FILE": "client",
    "REDIS_URL_FILE": "rediss://:p@redis:6379/0",
    "BFF_ADMIN_KEY_FILE": "a" * 64,
}
"""What a Secret may hold."""


def as_in_the_pod(case: str, folder: Path) -> config.Config:
    """The settings, with files in *folder* in place of what is mounted."""
    environ = {name: one.get("value", "x" * 32) for name, one in environment(case).items()}
    routes = [one["data"]["routes.toml"] for one in objects_of(case).get("ConfigMap", [])]
    for name, content in [*FILES.items(), *(("BFF_ROUTES_FILE", one) for one in routes)]:
        if name in environ:
            (folder / name).write_text(content)
            environ[name] = str(folder / name)
    environ.pop("BFF_CA_FILE", None)
    return config.load(environ)


def test_the_bff_takes_the_settings_as_they_were_meant(tmp_path: Path) -> None:
    assert as_in_the_pod("least", tmp_path).app_base_url == "https://app.example.com"
    settings = as_in_the_pod("everything", tmp_path)
    assert settings.watermark_lifetime_seconds == 31_622_400
    assert settings.provider_timeout_seconds == 2.5
    assert settings.session_persistent is True
    assert [route.prefix for route in settings.routes] == ["/api", "/api/stock"]


def test_the_notes_say_what_is_still_to_be_done(tmp_path: Path) -> None:
    # Helm shows them at an installation only, which asks a cluster.
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    text = (chart / "templates/NOTES.txt").read_text()
    (chart / "templates/_notes.tpl").write_text(f'{{{{ define "notes" }}}}{text}{{{{ end }}}}')
    (chart / "templates/shown.yaml").write_text('notes: {{ include "notes" . | quote }}')
    [shown] = objects(
        run("helm", "template", "shop", chart, "-s", "templates/shown.yaml", "-f", LEAST)
    )
    assert "https://app.example.com" in shown["notes"]
    assert '"bff" with the keys auth0-secret, client-secret, redis-url' in shown["notes"]
    assert "exec deploy/shop-bff -- bff check" in shown["notes"]
    assert "BFF_TRUSTED_PROXIES isn't set" in shown["notes"]
