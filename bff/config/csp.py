"""What is wrong with a Content-Security-Policy that replaces the default one?

Browsers ignore what they don't understand, so a mistake shows nowhere.
Source: Content Security Policy Level 3, sections 2.2, 2.3 and 6.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

DIRECTIVES = frozenset(
    {"base-uri", "block-all-mixed-content", "child-src", "connect-src", "default-src",
     "fenced-frame-src", "font-src", "form-action", "frame-ancestors", "frame-src", "img-src",
     "manifest-src", "media-src", "navigate-to", "object-src", "plugin-types", "prefetch-src",
     "report-to", "report-uri", "require-sri-for", "require-trusted-types-for", "sandbox",
     "script-src", "script-src-attr", "script-src-elem", "style-src", "style-src-attr",
     "style-src-elem", "trusted-types", "upgrade-insecure-requests", "webrtc", "worker-src"}
)  # fmt: skip
KEYWORDS = frozenset(
    {"self", "none", "unsafe-inline", "unsafe-eval", "unsafe-hashes", "strict-dynamic",
     "report-sample", "wasm-unsafe-eval", "inline-speculation-rules", "allow-duplicates", "script",
     "trusted-types-eval", "report-sha256", "report-sha384", "report-sha512", "allow", "block"}
)  # fmt: skip
"""They mean something between single quotes only."""
UNQUOTED_WORDS = frozenset({"sandbox", "report-to", "trusted-types", "require-sri-for"})
"""Directives whose values are other words than sources."""
PROTECTING = {
    "frame-ancestors": "any site may show the pages in a frame",
    "base-uri": "injected markup may redirect all relative addresses",
}
"""Of the default policy; `default-src` doesn't stand in for them."""

_NONCE_OR_HASH = re.compile(r"(nonce|sha256|sha384|sha512)-[A-Za-z0-9+/_=-]+", re.IGNORECASE)
_ANYBODY = re.compile(r"https?:|(?:https?://)?\*(?:\.\*)*(?::[0-9*]+)?/?", re.IGNORECASE)
_ANY_SCRIPT = re.compile(rf"{_ANYBODY.pattern}|data:|blob:", re.IGNORECASE)
"""Whoever can inject markup can write such an address."""


def problems(policy: str) -> Iterator[str]:
    """Each mistake in *policy*, and each thing that it leaves open."""
    if not policy.isascii():
        yield "has letters beyond ASCII, which browsers don't understand"
    effective: dict[str, list[str]] = {}
    # A comma begins another policy; both apply.
    for one in policy.split(","):
        yield from mistakes(one)
        for name, words in directives(one):
            effective.setdefault(name, words)
    for name, so in PROTECTING.items():
        if name not in effective:
            yield f"has no {name}: {so}"
    if effective.keys().isdisjoint(("script-src", "default-src")):
        yield "has neither default-src nor script-src: scripts may come from anywhere"
    yield from open_to_scripts(effective)


def mistakes(policy: str) -> Iterator[str]:
    """Each directive that browsers ignore or that protects nothing; no comma in *policy*."""
    seen: set[str] = set()
    for name, words in directives(policy):
        yield from _directive_problems(name, words)
        if name in seen:
            yield f"has {name} twice; browsers ignore the second one"
        elif name in PROTECTING and any(map(_ANYBODY.fullmatch, words)):
            yield f"has a {name} that excludes nobody: {PROTECTING[name]}"
        seen.add(name)


def open_to_scripts(effective: Mapping[str, list[str]]) -> Iterator[str]:
    """What in *effective*, the words of each directive, lets injected markup run a script."""
    scripts = effective.get("script-src", effective.get("default-src"))
    # Browsers prefer these two, for elements and for attributes such as `onclick`.
    special = effective.get("script-src-elem"), effective.get("script-src-attr")
    found = (one for words in (scripts, *special) for one in _open_to_scripts(words or []))
    yield from dict.fromkeys(found)


def _open_to_scripts(words: list[str]) -> Iterator[str]:
    """The same of the words of one directive.

    Beside `'strict-dynamic'` browsers ignore both kinds, and beside a nonce or a hash
    `'unsafe-inline'`.
    """
    if "'strict-dynamic'" in map(str.lower, words):
        return
    inline_counts = not any(_NONCE_OR_HASH.fullmatch(word.strip("'")) for word in words)
    for word in words:
        if _ANY_SCRIPT.fullmatch(word):
            yield f"has {word} for scripts: they may come from anywhere"
        elif word.lower() == "'unsafe-inline'" and inline_counts:
            yield f"has {word} for scripts: injected markup can run one"


def directives(policy: str) -> Iterator[tuple[str, list[str]]]:
    """The name of each directive, in lower case, and its words."""
    for part in policy.split(";"):
        name, *words = part.split() or [""]
        if name:
            yield name.lower(), words


def _directive_problems(name: str, words: list[str]) -> Iterator[str]:
    if name not in DIRECTIVES:
        near = difflib.get_close_matches(name, DIRECTIVES, n=1)
        yield f"has an unknown directive {name}" + (f"; {near[0]}?" if near else "")
        return
    if name in UNQUOTED_WORDS:
        return
    for word in words:
        bare = word.strip("'\"‘’“”")
        known = bare.lower() in KEYWORDS or _NONCE_OR_HASH.fullmatch(bare)
        if known and word != f"'{bare}'":
            yield f"has {word} in {name}, which means '{bare}' only between single quotes"
        elif not known and word.startswith(("'", '"')):
            yield f"has an unknown keyword {word} in {name}"
