"""Where do settings come from, and how are all problems with them reported at once?"""

from __future__ import annotations

import os

from dotenv import dotenv_values
from pydantic import ValidationError

from bff.config import routes_file, secret_files, unknown_variables
from bff.config.derived import Config
from bff.config.validators import same_host_and_port
from bff.core.errors import ConfigError

ANY_HOST = frozenset({"0.0.0.0", "::"})  # noqa: S104 - Compared with, not listened on.


def load(environ: dict[str, str] | None = None, *, env_file: str | None = ".env") -> Config:
    """Read and check all settings.

    Args:
        environ: Replaces the process's environment (in tests, for example); no dotenv file is read
            then.
        env_file: A dotenv file; the environment takes precedence.

    Raises:
        ConfigError: Settings are invalid; it lists all problems.
    """
    if environ is None:
        from_file = {k: v for k, v in dotenv_values(env_file).items() if v} if env_file else {}
        environ = from_file | dict(os.environ)
    secrets, problems = secret_files.read(environ)
    environ = environ | secrets
    file = routes_file.read(environ.get(routes_file.SETTING), environ)
    known = {*setting_names().values(), *secret_files.FILES, *file.variables}
    problems += unknown_variables.problems(environ, known)
    config = None
    try:
        config = Config.model_validate(_known(environ))
    except ValidationError as error:
        problems += _validation_problems(error)
    if same_host_and_port(environ.get("BFF_API_URL", ""), environ.get("APP_BASE_URL", "")):
        problems.append("BFF_API_URL: is this application itself (APP_BASE_URL)")
    problems += file.problems
    if problems or config is None:
        raise ConfigError(problems)
    return config.with_routes(
        tuple(
            entry.route(
                environ,
                timeout_seconds=config.upstream_timeout_seconds,
                request_max_bytes=config.request_max_bytes,
                ca_file=config.trusted_cas,
            )
            for entry in file.entries
        ),
        frozenset(file.variables),
    )


def setting_names() -> dict[str, str]:
    """The environment variable of every field: `{field: variable}`, in the table's order."""
    return {name: str(field.alias) for name, field in Config.model_fields.items()}


def _known(environ: dict[str, str]) -> dict[str, str]:
    aliases = set(setting_names().values())
    return {name: value for name, value in environ.items() if name in aliases and value}


def routes_to(config: Config, host: str, port: int) -> list[str]:
    """The prefixes of the routes to a server that listens on *host* and *port*."""
    bound = "localhost" if host in ANY_HOST else host
    own = f"http://[{bound}]:{port}" if ":" in bound else f"http://{bound}:{port}"
    return [
        route.prefix
        for route in config.routes
        if any(same_host_and_port(url, own) for url in route.upstream_urls)
    ]


def _validation_problems(error: ValidationError) -> list[str]:
    names = setting_names()
    problems: list[str] = []
    for item in error.errors(include_url=False, include_input=False):
        text = "is missing" if item["type"] == "missing" else item["msg"]
        # An invalid default is reported under the name of the field, not of the variable.
        name = str(item["loc"][0])
        problems.append(f"{names.get(name, name)}: {text.removeprefix('Value error, ')}")
    return problems
