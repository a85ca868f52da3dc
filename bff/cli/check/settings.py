"""Is each setting valid, and as strong as it seems?"""

from __future__ import annotations

from bff.cli.check.finding import Finding
from bff.config import Config, load, weak_settings
from bff.core.errors import ConfigError

NO_SUCH_SETTING = "no such setting"
MISSING = "is missing"


def findings() -> tuple[Config | None, list[Finding]]:
    """The settings, or None if they can't be used; and what is to be said of them."""
    try:
        config = load()
    except ConfigError as error:
        rest = Finding(
            "everything else",
            "warning",
            "not looked at, since the settings can't be used",
            "Correct them, and check again",
        )
        return None, [*of_problems(error), rest]
    names = [str(type(config).model_fields[field].alias) for field in config.model_fields_set]
    valid = f"valid: {', '.join(sorted(names))}; the others have their defaults"
    weak = map(_of_warning, weak_settings.warnings(config))
    return config, [Finding("settings", "ok", valid), *weak]


def of_problems(error: ConfigError) -> list[Finding]:
    """A row for each problem."""
    return [_of_problem(problem) for problem in error.problems]


def _of_problem(problem: str) -> Finding:
    name, _, meaning = problem.partition(": ")
    correct = f"Correct {name}; docs/settings.md says what it means"
    if meaning.startswith(NO_SUCH_SETTING):
        correct = f"Rename {name}, or unset it; docs/settings.md has all names"
    elif meaning.startswith(MISSING):
        correct = f"Set {name}; docs/settings.md says to what"
    return Finding(name, "failed", meaning, correct)


def _of_warning(text: str) -> Finding:
    meaning, _, advice = text.partition(". ")
    name, _, meaning = meaning.partition(" ")
    return Finding(name, "warning", meaning.rstrip("."), advice.rstrip("."))
