"""What makes a key of a route invalid, by itself or in combination with other keys?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from bff.config.header_names import NEVER_PASSED, NEVER_PASSED_PREFIXES
from bff.config.route import (
    NEVER_FORWARDED_METHODS,
    RESERVED_SEGMENTS,
    TokenMode,
    origin_of,
)
from bff.config.validators import upstream_url

API_PREFIX = "/api"
"""The prefix of the route that `BFF_API_URL` defines."""

_PREFIX = re.compile(r"(/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]*[A-Za-z0-9_~-])+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WORD = re.compile(r"[\x21-\x7e]+")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*|")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21\x23-\x5b\x5d-\x7e]+")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_OWN_COOKIES = re.compile(
    r"(?:__host-http-)?session|session-[0-9]{1,5}|(?:__host-)?login-[0-9a-f]{16}"
    r"|(?:__host-browser|browser-[0-9]{1,5})-[0-9a-f]{8}",
    re.IGNORECASE,
)
"""Our cookies for the session, sign-ins and the browser, over https and on the loopback."""


# ---------------------------------------------------------------- one key
def _prefix(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("must begin with /, such as /api")
    if value == "/":
        raise ValueError("must name at least one segment, such as /api; / is the single-page app's")
    if value.endswith("/"):
        raise ValueError("must not end with /")
    if not _PREFIX.fullmatch(value):
        raise ValueError(
            "must be a clean path: segments of letters, digits and -._~, none of them empty or dots"
        )
    first = value.split("/")[1]
    if first.casefold() in RESERVED_SEGMENTS:
        raise ValueError(f"must not be under /{first.casefold()}, which we answer ourselves")
    return value


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError("must be a list of strings")
    if len(set(value)) < len(value):
        raise ValueError("names something twice")
    return tuple(value)


def _not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must not be empty")
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    urls = tuple(_address(url, number, len(value)) for number, url in enumerate(value, 1))
    origins = [origin_of(url) for url in urls]
    if len(set(origins)) < len(origins):
        raise ValueError("names one address twice")
    if len({scheme for scheme, _, _ in origins}) > 1:
        raise ValueError("must be all http or all https")
    if len({urlsplit(url).path for url in urls}) > 1:
        raise ValueError("must have the same path at all addresses")
    return urls


def _address(value: str, number: int, of: int) -> str:
    try:
        return upstream_url(value)
    except ValueError as error:
        # The value isn't shown: it may contain a password.
        raise ValueError(f"address {number}: {error}" if of > 1 else str(error)) from None


def _methods(value: tuple[str, ...]) -> tuple[str, ...]:
    for method in value:
        if not _TOKEN.fullmatch(method):
            raise ValueError("must be names of methods, such as GET")
        if method.upper() in NEVER_FORWARDED_METHODS:
            raise ValueError(f"{method.upper()} is never forwarded")
        if method != method.upper():
            raise ValueError(f"methods are written in capitals: {method.upper()}")
    return value


def _request_headers(value: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.lower() for name in value)
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ValueError("must be names of header fields, such as Accept-Language")
        if name == "cookie":
            raise ValueError("Cookie never passes as a whole; request_cookies names what may")
        if name == "content-type":
            continue  # It passes with the body anyway.
        if name in NEVER_PASSED or name.startswith(NEVER_PASSED_PREFIXES):
            raise ValueError(f"{name} never passes; we write it ourselves, or it ends with us")
    return names


def _cookies(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not _TOKEN.fullmatch(name):
            raise ValueError("must be names of cookies")
        if _OWN_COOKIES.fullmatch(name):
            raise ValueError(f"{name} is our own cookie")
    return value


def _answer_cookies(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        # Browsers accept such a cookie for the whole origin only, and an upstream has one route.
        if name.lower().startswith("__host-"):
            raise ValueError(f"{name}: a cookie of an upstream can't be one for the whole host")
    return value


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise ValueError("must not be empty, nor have blanks or other than ASCII in it")
    return value


def _acr_values(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_word, value))


def _scope(value: str) -> str:
    if not _SCOPE.fullmatch(value):
        raise ValueError("must be scopes with one blank between them")
    return value


def _uri(value: str) -> str:
    if not _URI.fullmatch(value):
        raise ValueError("must be a URI with its scheme")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        # Not shown: it may be the secret itself.
        raise ValueError("must be the NAME of an environment variable, in capitals")
    return value


_Strings = Annotated[tuple[str, ...], BeforeValidator(_strings)]
_SomeStrings = Annotated[_Strings, AfterValidator(_not_empty)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Addresses = Annotated[_SomeStrings, BeforeValidator(_one_or_more), AfterValidator(_addresses)]
Methods = Annotated[_SomeStrings, AfterValidator(_methods)]
RepeatableMethods = Annotated[_Strings, AfterValidator(_methods)]
RequestHeaders = Annotated[_Strings, AfterValidator(_request_headers)]
RequestCookies = Annotated[_Strings, AfterValidator(_cookies)]
AnswerCookies = Annotated[_Strings, AfterValidator(_cookies), AfterValidator(_answer_cookies)]
Word = Annotated[str, AfterValidator(_word)]
ScopeWords = Annotated[str, AfterValidator(_scope)]
URI = Annotated[str, AfterValidator(_uri)]
ProofAddress = Annotated[str, AfterValidator(upstream_url)]
VariableName = Annotated[str, AfterValidator(_variable)]
ACRValues = Annotated[_SomeStrings, AfterValidator(_acr_values)]


# ---------------------------------------------------------------- keys together
_TOKEN_KEYS = ("audience", "scope", "client_id", "client_secret_env", "subject_token_type")
_KEYS_OF_MODE = {
    "audience": ("audience", "scope"),
    "exchange": _TOKEN_KEYS,
    "client": tuple(key for key in _TOKEN_KEYS if key != "subject_token_type"),
}
_MODES_WITHOUT_SESSION = ("optional", "none")


def combination_problems(
    entry: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Key and problem for each invalid combination of keys in *entry*.

    Args:
        entry: A route as written in the file; its values may be invalid.
        environ: Has the secrets.
    """
    mode = entry.get("token", "user")
    if mode in get_args(TokenMode):
        yield from _mode_problems(mode, entry)
    for key, other in (("client_id", "client_secret_env"), ("client_secret_env", "client_id")):
        if key in entry and other not in entry:
            yield other, f"is missing; {key} goes together with it"
    variable = entry.get("client_secret_env")
    if isinstance(variable, str) and _VARIABLE.fullmatch(variable) and not environ.get(variable):
        yield "client_secret_env", f"the environment variable {variable} is not set"
    connect, answer = entry.get("connect_timeout_seconds"), entry.get("answer_timeout_seconds")
    if isinstance(connect, int | float) and isinstance(answer, int | float) and connect >= answer:
        yield "connect_timeout_seconds", "must be less than answer_timeout_seconds"
    if entry.get("websocket") is True:
        yield from _websocket_problems(entry)
    if mode in get_args(TokenMode):
        yield from _dpop_problems(mode, entry, environ.get("BFF_DPOP") or "off")
    allowed, repeatable = entry.get("methods"), entry.get("repeatable_methods")
    if isinstance(allowed, list) and isinstance(repeatable, list):
        more = [method for method in repeatable if method not in allowed]
        if more:
            yield "repeatable_methods", "names a method that methods does not allow"


def _websocket_problems(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Only a proxy in front forwards WebSockets, and it can't forward every route."""
    if entry.get("forward_auth") is False:
        yield "websocket", "means nothing with forward_auth = false"
    for key in ("request_headers", "request_cookies", "answer_cookies"):
        if entry.get(key) or (key == "request_headers" and key in entry):
            yield "websocket", f"means nothing with {key}, which no proxy in front carries"


def _dpop_problems(mode: str, entry: Mapping[str, Any], setting: str) -> Iterator[tuple[str, str]]:
    dpop = entry.get("dpop", "auto")
    says = f'token = "{mode}"'
    if mode == "none":
        for key in ("dpop", "dpop_url"):
            if key in entry:
                yield key, f"means nothing with {says}: the upstream gets no token"
    elif dpop == "never" and mode in ("user", "optional"):
        # The session has one token for all such routes.
        yield "dpop", f"can't be never with {says}: the session's own token is bound or isn't"
    elif dpop == "never" and "dpop_url" in entry:
        yield "dpop_url", 'means nothing with dpop = "never"'
    elif dpop == "required" and setting == "off":
        yield "dpop", "can't be required while BFF_DPOP is off"


def _mode_problems(mode: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    says = f'token = "{mode}"'
    if mode == "audience" and "audience" not in entry:
        yield "audience", f"is missing; {says} needs it"
    if mode in ("exchange", "client") and not {"audience", "scope"} & entry.keys():
        yield "audience", f"is missing, and so is scope; {says} needs one of them"
    for key in _TOKEN_KEYS:
        if key in entry and key not in _KEYS_OF_MODE.get(mode, ()):
            yield key, f"means nothing with {says}"
    for key in ("acr_values", "max_age_seconds"):
        if key in entry and mode in _MODES_WITHOUT_SESSION:
            yield key, f"can't be demanded with {says}, which asks for no session"
