"""Our cookie is found in whatever stands around it, in bytes as WSGI servers pass them."""

from __future__ import annotations

import pytest

from bff.access.cookie_header import all_cookies, are_hidden, cookie_values, refuse_unreadable
from bff.core.errors import CookiesUnreadable

OURS = "__Host-Http-session"
AROUND = {
    "nothing": "{}",
    "UTF-8": "city=Z\xc3\xbcrich; {}; a=b",
    "Latin-1": "city=Z\xfcrich; {}",
    "no bytes of any encoding": "a=\xff\xfe; {}",
    "a quote that isn't closed": 'a="b; {}; c=d',
    "a quoted semicolon": 'a="; {}; "',
    "no name": "=x; {}; =",
    "no value": "flag; {}; ;; ",
    "no blanks": "a=b;{};c=d",
    "tabs": "a=b;\t{}\t;c=d",
    "an equals sign": "a=b=c; {}",
    "a name in Latin-1": "gr\xf6\xdfe=1; {}",
    "a control character": "a=\x01\x7f; {}",
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND.keys())
def test_ours_is_found_in_whatever_stands_around_it(around: str) -> None:
    environ = {"HTTP_COOKIE": around.format(f"{OURS}=value")}
    assert cookie_values(environ, OURS) == ["value"]
    assert all_cookies(environ)[OURS] == "value"
    assert not are_hidden(environ)


@pytest.mark.parametrize(
    "header",
    [
        f"a=b,{OURS}=planted", f"a=b, {OURS}=planted", f"{OURS.lower()}=planted",
        f"x{OURS}=planted", f"a={OURS}=planted", f"{OURS}", f'a="{OURS}=planted"',
    ],
)  # fmt: skip
def test_a_foreign_cookie_can_not_pose_as_ours(header: str) -> None:
    """A sibling subdomain can't set a `__Host-` cookie, but any other with any value."""
    assert cookie_values({"HTTP_COOKIE": header}, OURS) == []


def test_of_two_the_first_counts() -> None:
    environ = {"HTTP_COOKIE": f"{OURS}=one; {OURS}=two"}
    assert cookie_values(environ, OURS) == ["one", "two"]
    assert all_cookies(environ) == {OURS: "one"}


def test_no_cookie_and_hidden_ones_are_told_apart() -> None:
    refuse_unreadable({})
    refuse_unreadable({"HTTP_COOKIE": "a=b"})
    with pytest.raises(CookiesUnreadable):
        refuse_unreadable({"HTTP_COOKIE": ""})
