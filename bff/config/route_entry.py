"""Which keys does a route have in the routes file, in which unit, with which default?

One field each, with a sentence, as in `settings`; `docs/routes.md` has them as a table. What makes
a value or a combination of keys invalid is in `route_validators`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from bff.config import route_validators
from bff.config.route import (
    ACCESS_TOKEN_TYPE,
    REPEATABLE_METHODS,
    DPoPMode,
    Route,
    StepUp,
    TokenMode,
    TokenRule,
)

CONNECT_TIMEOUT_SECONDS = 5.0

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class RouteEntry(BaseModel):
    """One `[[route]]`. The order of the fields is that of the table in `docs/routes.md`.

    A field's `description` puts its default into words, where the value doesn't.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, validate_default=False
    )

    prefix: route_validators.Prefix
    """The path of the route, such as `/api/orders`; of several, the longest prefix wins."""
    upstream: route_validators.Addresses
    """The upstream: a URL, or a list of URLs that differ in host and port only."""
    strip_prefix: bool = True
    """Whether the prefix is removed before the path is appended to the upstream's own path."""
    methods: route_validators.Methods | None = Field(None, description="all but TRACE and CONNECT")
    """The allowed methods."""
    repeatable_methods: route_validators.RepeatableMethods = tuple(sorted(REPEATABLE_METHODS))
    """The methods that may be sent again when a reused connection breaks before the response."""
    idle_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 4
    """How long a connection may have been idle for a write, unless the API sends `Keep-Alive`."""
    idle_connections_max: Annotated[int, Field(ge=0)] = 32
    """How many idle connections a process keeps to each address, once a burst is over."""
    connect_timeout_seconds: Seconds | None = Field(
        None, description="`5`, but at most half of `answer_timeout_seconds`"
    )
    """How long one attempt to connect may take, in seconds."""
    answer_timeout_seconds: Seconds | None = Field(
        None, description="`BFF_UPSTREAM_TIMEOUT_SECONDS`"
    )
    """How long the upstream may take to begin its response, in seconds."""
    request_max_bytes: Annotated[int, Field(ge=0)] | None = Field(
        None, description="`BFF_REQUEST_MAX_BYTES`"
    )
    """The largest request body, in bytes; 0 for no limit."""
    request_headers: route_validators.RequestHeaders | None = Field(
        None, description="all that are safe"
    )
    """The only headers of the client that may pass."""
    request_cookies: route_validators.RequestCookies = ()
    """The names of the client's cookies that may pass; never ours."""
    answer_cookies: route_validators.AnswerCookies = ()
    """The names of the cookies that the upstream may set in the browser; never ours."""
    token: TokenMode = "user"  # noqa: S105 - A mode.
    """What the upstream gets: `user`, `audience`, `exchange`, `client`, `optional` or `none`."""
    audience: route_validators.Word | None = None
    """The API that the token is for; with `audience`, `exchange` and `client`."""
    scope: route_validators.ScopeWords = ""
    """The requested scopes, separated by spaces; with the same modes."""
    client_id: route_validators.Word | None = Field(None, description="our own client")
    """A client other than the one that signs users in; with `exchange` and `client`."""
    client_secret_env: route_validators.VariableName | None = None
    """The name of the environment variable with the secret of `client_id`."""
    subject_token_type: route_validators.URI = Field(
        ACCESS_TOKEN_TYPE, description="an access token"
    )
    """The type under which the session's token is presented, a URI; with `exchange`."""
    acr_values: route_validators.ACRValues = ()
    """One of them must be the session's `acr`, most preferred first; else a step-up."""
    max_age_seconds: Annotated[int, Field(ge=1)] | None = None
    """The greatest age of the sign-in, in seconds; else a step-up."""
    dpop: DPoPMode = "auto"
    """Bind the token to our key, with `BFF_DPOP`: `auto`, `required` (no bearer token), `never`."""
    dpop_url: route_validators.ProofAddress | None = Field(None, description="the upstream's")
    """What the API takes for its own address, for the proofs: scheme, host and path in front."""
    forward_auth: bool = True
    """Whether a proxy in front may forward requests by `/auth/verify`; if not, only we do."""
    websocket: bool = False
    """Whether a proxy in front may forward WebSockets; we ourselves forward none."""
    code: bool = False
    """Whether a page may run the upstream's files as scripts, workers and style sheets."""

    def route(
        self,
        environ: Mapping[str, str],
        *,
        timeout_seconds: float,
        request_max_bytes: int,
        ca_file: str,
    ) -> Route:
        """The route of this entry.

        Args:
            environ: Has the client's secret.
            timeout_seconds: The default of `answer_timeout_seconds`.
            request_max_bytes: The default of `request_max_bytes`.
            ca_file: PEM certificates of the CAs trusted for the upstream.
        """
        answer_timeout = self.answer_timeout_seconds or timeout_seconds
        own_limit = self.request_max_bytes
        headers = self.request_headers
        step_up = None
        if self.acr_values or self.max_age_seconds is not None:
            step_up = StepUp(acr_values=self.acr_values, max_age_seconds=self.max_age_seconds)
        return Route(
            prefix=self.prefix,
            upstream_urls=self.upstream,
            strip_prefix=self.strip_prefix,
            methods=frozenset(self.methods) if self.methods is not None else None,
            repeatable_methods=frozenset(self.repeatable_methods),
            idle_seconds=self.idle_seconds,
            idle_connections_max=self.idle_connections_max,
            connect_timeout_seconds=self.connect_timeout_seconds or connect_timeout(answer_timeout),
            answer_timeout_seconds=answer_timeout,
            request_max_bytes=request_max_bytes if own_limit is None else own_limit,
            request_headers=frozenset(headers) if headers is not None else None,
            request_cookies=frozenset(self.request_cookies),
            answer_cookies=frozenset(self.answer_cookies),
            token=self._token(environ),
            step_up=step_up,
            forward_auth=self.forward_auth,
            websocket=self.websocket,
            code=self.code,
            dpop_url=self.dpop_url,
            ca_file=ca_file,
        )

    def _token(self, environ: Mapping[str, str]) -> TokenRule:
        secret = environ[self.client_secret_env] if self.client_secret_env else None
        variable = f"{self.client_secret_env}_FILE"
        file = environ.get(variable) if secret else None
        return TokenRule(
            mode=self.token,
            audience=self.audience,
            scope=self.scope,
            client_id=self.client_id,
            client_secret=SecretStr(secret) if secret else None,
            client_secret_file=Path(file) if file else None,
            client_secret_variable=variable if file else "",
            subject_token_type=self.subject_token_type,
            dpop=self.dpop,
        )


def connect_timeout(answer_timeout_seconds: float) -> float:
    """The default of `connect_timeout_seconds`."""
    return min(CONNECT_TIMEOUT_SECONDS, answer_timeout_seconds / 2)
