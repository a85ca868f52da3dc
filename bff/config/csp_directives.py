"""How are single directives added to a Content-Security-Policy without a loss of what is in it?

A directive that is given again would be ignored, and one like `img-src` replaces `default-src` for
its kind. So sources are added to those that apply already.
Source: Content Security Policy Level 3, sections 2.2 and 6.8.3.
"""

from __future__ import annotations

from bff.config.csp import directives, mistakes

NONE = "'none'"
UNSAFE_INLINE = "'unsafe-inline'"
FALLBACKS = {
    "script-src-elem": "script-src", "script-src-attr": "script-src", "worker-src": "child-src",
    "style-src-elem": "style-src", "style-src-attr": "style-src", "frame-src": "child-src",
    "child-src": "script-src", "script-src": "default-src", "style-src": "default-src",
} | dict.fromkeys(
    ("connect-src", "font-src", "img-src", "manifest-src", "media-src", "object-src",
     "prefetch-src"),
    "default-src",
)  # fmt: skip
"""Where a browser looks if a directive is not there."""


def checked(value: str) -> str:
    """Return *value* if it is a list of directives, with semicolons between them.

    Raises:
        ValueError: A browser would ignore a part of it, or it lets anybody frame the pages.
    """
    if "," in value:
        raise ValueError("can't contain a comma, which begins another policy")
    if not value.isascii():
        raise ValueError("has letters beyond ASCII, which browsers don't understand")
    for mistake in mistakes(value):
        raise ValueError(mistake)
    if ("form-action", [NONE]) in directives(value.lower()):
        raise ValueError("can't forbid all forms: our logout is one")
    return value


def extended(policy: str, additions: str) -> str:
    """Return *policy*, in which *additions* are allowed as well.

    A directive of `'none'` alone, and one that has no sources, replaces the policy's.
    """
    return ", ".join(_extended(one, additions) for one in policy.split(","))


def _extended(policy: str, additions: str) -> str:
    given: dict[str, list[str]] = {}
    for name, words in directives(policy):
        given.setdefault(name, words)
    # First `default-src`: others fall back to it.
    for name, words in sorted(directives(additions), key=lambda one: one[0] != "default-src"):
        given[name] = _together(_applying(name, given), words)
    return "; ".join(" ".join((name, *words)) for name, words in given.items())


def _applying(name: str, given: dict[str, list[str]]) -> list[str]:
    """The sources that apply for a directive: its own, or those of the one in its place."""
    if name in given or name not in FALLBACKS:
        return given.get(name, [])
    return _applying(FALLBACKS[name], given)


def _together(before: list[str], words: list[str]) -> list[str]:
    if [word.lower() for word in words] == [NONE]:
        return words
    kept = [word for word in before if word.lower() != NONE]
    if UNSAFE_INLINE in map(str.lower, words):
        # Browsers ignore it beside a hash.
        kept = [word for word in kept if not word.lower().startswith(("'sha", "'nonce-"))]
    return [*kept, *(word for word in words if word not in kept)]
