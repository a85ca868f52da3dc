"""Is `returnTo` a page of our own application, to which a browser may be sent after a sign-in?

A path of this origin is accepted unchanged, anything else is refused. Browsers and servers read
addresses in different ways (a backslash counts as a slash, tabs vanish, `%61uth` reaches our
`/auth`), so the path is checked as received and after every round of decoding, as UTF-8.
Source: ASVS 3.7.2; CWE-601.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from bff.config import Config
from bff.core.errors import ReturnToInvalid

MAX_CHARACTERS = 2000
MAX_DECODINGS = 5
PERCENT_SIGNS_MAX = 16
"""How many percent signs a page's path may contain, written as `%25`."""
OWN_FOLDERS = frozenset({"auth", "api"})
"""First path segments outside the SPA: a sign-in must not lead to a logout or an API call."""

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def checked_return_to(value: str | None, config: Config) -> str:
    """Return *value* unchanged if it is a path of this application, `/` if there is none.

    Args:
        value: Path, query and fragment, percent-encoded as in an address bar.
        config: Has our origin and the prefixes of the API routes.

    Raises:
        ReturnToInvalid: It leads elsewhere, or can be read so.
    """
    if not value:
        return "/"
    if len(value) > MAX_CHARACTERS:
        raise ReturnToInvalid(f"longer than {MAX_CHARACTERS} characters")
    if not value.startswith("/") or not _VISIBLE_ASCII.fullmatch(value) or "\\" in value:
        raise ReturnToInvalid("not a path, or with characters that no address contains")
    path = re.split(r"[?#]", value, maxsplit=1)[0]
    for reading in _readings(path):
        _check_path(reading)
        _check_routes(reading, config)
    _check_origin(value, config.app_base_url)
    return value


def _readings(path: str) -> list[str]:
    """*path* as received and after each round of decoding, until nothing changes.

    Raises:
        ReturnToInvalid: Decoders disagree about it, or it isn't UTF-8 (an overlong slash).
    """
    if _STRAY_PERCENT.search(path) or path.count("%25") > PERCENT_SIGNS_MAX:
        raise ReturnToInvalid("encoded in a way that can be read differently")
    readings = [path]
    while _ESCAPE.search(readings[-1]):
        # Some decoders refuse the whole because of a stray percent sign, others decode the rest.
        if _STRAY_PERCENT.search(readings[-1]) or len(readings) > MAX_DECODINGS:
            raise ReturnToInvalid("encoded in a way that can be read differently")
        readings.append(_decoded(readings[-1], first=len(readings) == 1))
    return readings


def _decoded(path: str, *, first: bool) -> str:
    """*path*, decoded once. What "100%deal" would be after another round is no error in it."""
    try:
        return unquote_to_bytes(path).decode("utf-8", "strict" if first else "replace")
    except UnicodeDecodeError as error:
        raise ReturnToInvalid("the path is not UTF-8") from error


def _check_path(path: str) -> None:
    if "//" in path or "\\" in path or _CONTROL.search(path):
        raise ReturnToInvalid("double slash, backslash or control character in the path")
    # Servers disagree whether what follows such a character belongs to the segment.
    segments = [re.split(r"[;?#]", segment, maxsplit=1)[0] for segment in path.split("/")[1:]]
    if "." in segments or ".." in segments:
        raise ReturnToInvalid("dot segment in the path")
    if segments[0].casefold() in OWN_FOLDERS:
        raise ReturnToInvalid("not a page of the application")


def _check_routes(path: str, config: Config) -> None:
    loose = path.casefold()
    for route in config.routes:
        prefix = route.prefix.casefold()
        if loose.startswith(prefix) and loose[len(prefix) : len(prefix) + 1] in ("", "/", ";"):
            raise ReturnToInvalid("a path of an API, not a page of the application")


def _check_origin(value: str, app_base_url: str) -> None:
    """Resolve *value* as a browser does: a safeguard that needs none of the checks above."""
    resolved, ours = urlsplit(urljoin(app_base_url + "/", value)), urlsplit(app_base_url)
    if (resolved.scheme, resolved.netloc) != (ours.scheme, ours.netloc):
        raise ReturnToInvalid("another origin")
