"""Where do settings come from, and how are all problems with them reported at once?"""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError

from bff.config import routes_file, secret_files, trace_options, unknown_variables
from bff.config.derived import Config
from bff.config.live_secrets import LiveSecrets
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
    problems: list[str] = []
    if environ is None:
        environ = environment(env_file, problems)
    routes_path = environ.get(routes_file.SETTING)
    of_routes = routes_file.read(routes_path, environ).variables - {*setting_names().values()}
    secrets, unreadable = secret_files.read(environ, of_routes)
    environ = environ | secrets
    file = routes_file.read(routes_path, environ)
    known = {*setting_names().values(), *secret_files.FILES, *of_routes}
    known |= {f"{name}_FILE" for name in of_routes}
    problems += [*unreadable, *unknown_variables.problems(environ, known)]
    config = None
    try:
        config = Config.model_validate(_known(environ))
    except ValidationError as error:
        problems += _validation_problems(error)
    if same_host_and_port(environ.get("BFF_API_URL", ""), environ.get("APP_BASE_URL", "")):
        problems.append("BFF_API_URL: is this application itself (APP_BASE_URL)")
    problems += [*file.problems, *trace_options.problems(environ)]
    if problems or config is None:
        raise ConfigError(problems)
    files = {n: Path(environ[f]) for f, n in secret_files.FILES.items() if environ.get(f)}
    config = config.with_trace_variables(trace_options.variables_of(environ))
    return _with_routes(config.with_live_secrets(LiveSecrets(files)), file, environ)


def _with_routes(config: Config, file: routes_file.RoutesFile, environ: dict[str, str]) -> Config:
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


def environment(env_file: str | None = ".env", problems: list[str] | None = None) -> dict[str, str]:
    """The process's environment, and below it the dotenv file.

    Args:
        env_file: The file; None for none.
        problems: Gets what is wrong with it.
    """
    return _dotenv(env_file, problems if problems is not None else []) | dict(os.environ)


def _dotenv(env_file: str | None, problems: list[str]) -> dict[str, str]:
    if env_file is None:
        return {}
    try:
        return {name: value for name, value in dotenv_values(env_file).items() if value}
    except OSError as error:
        problems.append(f"{env_file}: can't be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{env_file}: is not UTF-8")
    return {}


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
