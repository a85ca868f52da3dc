"""`returnTo` leads to a page of our own application, however it is written, or is refused."""

import re
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.config import Config, load
from bff.core.errors import ReturnToInvalid
from bff.web.return_to import MAX_CHARACTERS, checked_return_to

ORIGIN = "https://app.example.com"
CONFIG: Config = load(
    {
        "OIDC_ISSUER": "https://issuer.example/", "AUTH0_CLIENT_ID": "a",
        "AUTH0_CLIENT_SECRET": "b", "AUTH0_SECRET": "x" * 32, "APP_BASE_URL": ORIGIN,
        "BFF_API_URL": "http://127.0.0.1:9",
    }
)  # fmt: skip

HOSTILE = [
    # Another origin, unencoded.
    "https://evil.example", "http://evil.example/", "https:evil.example", "https:/evil.example",
    "HTTPS://evil.example", "//evil.example", "///evil.example", "////evil.example/x",
    "https://app.example.com.evil.example/", "https://app.example.com@evil.example/",
    "//app.example.com@evil.example/", "//user:password@evil.example", "ftp://evil.example/",
    "//[::1]/", "//evil.example:443/x", "https://app.example.com/x",
    # Characters that browsers turn into slashes, or remove, so that slashes meet.
    "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\\/evil.example", "/x\\..\\evil",
    "/x?\\evil.example", "/x#\\",
    "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example",
    " //evil.example", "/ /evil.example", "/\x00/evil.example", "/\x0b/evil.example",
    "\x00//evil.example", "/\u2028/evil.example", "/\x7f/evil", "/\x85/evil", "/\xa0/evil",
    # The same, encoded, once or more often.
    "/%09/evil.example", "/%0a/evil.example", "/%0D%0ASet-Cookie:x=y", "/%2Fevil.example",
    "/%2f%2fevil.example", "%2F%2Fevil.example", "/%5Cevil.example", "/%5c%5cevil.example",
    "/%252Fevil.example", "/%25252f%25252fevil.example", "/%255Cevil.example", "/%00/x",
    "/x%7F", "/%C2%85", "/x%C2%9F", "/%25C2%2585", "/%2500", "/%25" * 40, "/" + "%25" * 8 + "2f",
    # Scripts and data.
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "blob:x",
    "about:blank", "java\tscript:alert(1)", "mailto:a@evil.example",
    # Not a path.
    "evil.example", "x", "?x", "#x", ".", "..", "@evil.example", ";x", "*", "null",
    # Dot segments, which browsers and servers resolve each in their own way.
    "/./x", "/../x", "/x/../../auth/logout", "/x/..", "/.", "/..", "/.//evil.example",
    "/..//evil.example", "/x/..//evil.example", "/%2e%2e/auth/logout", "/%2E/x", "/x/%2e%2e/y",
    "/x/.%2e/auth/logout", "/%252e%252e/auth", "/x%2f..%2fauth%2flogout", "/..;/auth/logout",
    "/x/..;a=b/auth", "/x//y", "/x%2f%2fy",
    # Our own routes.
    "/auth", "/auth/", "/auth/login", "/auth/logout?x", "/auth#x", "/auth?x", "/AUTH/logout",
    "/%61uth/logout", "/%2561uth/logout", "/auth%2Flogout", "/auth;x/logout", "/api", "/api/items",
    "/Api/items", "/%61pi/items", "/ap%69", "/api;v=1/x", "/api%3Fx",
    # Not UTF-8: an overlong slash and dot, half a character, Latin-1, a surrogate.
    "/%C0%AFevil.example", "/%C0%AE%C0%AE/auth", "/%C3", "/%E9t%E9", "/%ED%A0%80", "/%F4%90%80%80",
    # A percent sign beside an escape, after decoding.
    "/%25%2561uth/logout", "/%25%252F", "/a%25252f%25",
    # Characters that no address contains, and values that can be read differently.
    "/ü", "/\ud800", "/<script>\n", "/%", "/%2", "/%zz", "/%u002f", "/x%", "/%25%", "/\uff0fevil",
    "/" + "x" * MAX_CHARACTERS,
]  # fmt: skip

GOOD = [
    "/", "/x", "/items/7", "/x/", "/x?y=z", "/x#y", "/?next=https://evil.example/", "/#/route",
    "/x?y=%2F%2Fevil.example", "/x?a=..%2f..&b=%00", "/caf%C3%A9", "/a%20b", "/@handle",
    "/authors", "/apiary", "/x/auth", "/x/api/y", "/a:b", "/~me", "/x.html", "/.well-known/x",
    # Paths are UTF-8, and may contain a percent sign.
    "/stra%C3%9Fe", "/%C3%84rger", "/%C3%89t%C3%A9", "/%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82",
    "/%E4%B8%AD%E6%96%87", "/%F0%9F%98%80", "/%F0%9F%91%A8%E2%80%8D%F0%9F%91%A9",
    "/x%C3%9F/7?%C3%9F", "/%E3%81%82#%C3%9F", "/%25", "/100%25", "/100%25/x", "/20%25%20off",
    "/5%25-%C3%9F", "/100%25deal",
    "/...", "/x?y=/../auth", "/x#/../auth", "/x;y=1", "/(a)!$&'*+,=", "/x?//evil.example", "/<a>",
]  # fmt: skip


def browser_resolves(value: str) -> str:
    """Where a browser goes (WHATWG URL): it trims, drops tabs and newlines, turns backslashes."""
    stripped = value.strip("".join(map(chr, range(0x21))))
    plain = re.sub(r"[\t\n\r]", "", stripped)
    path, mark, rest = re.match(r"([^?#]*)([?#]?)(.*)", plain, re.DOTALL).groups()  # type: ignore[union-attr]
    # Any number of slashes after the first two still begins a host.
    path = re.sub(r"^/{2,}", "//", path.replace("\\", "/"))
    return urljoin(ORIGIN + "/", path + mark + rest)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value)[:40])
def test_a_hostile_value_is_refused(value: str) -> None:
    with pytest.raises(ReturnToInvalid):
        checked_return_to(value, CONFIG)


@pytest.mark.parametrize("value", GOOD)
def test_a_page_of_ours_is_returned_unchanged(value: str) -> None:
    assert checked_return_to(value, CONFIG) == value
    assert browser_resolves(value).startswith(ORIGIN + "/")


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_value_it_is_the_start_page(value: str | None) -> None:
    assert checked_return_to(value, CONFIG) == "/"


def test_the_table_is_long_enough_and_has_no_duplicates() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 40


PIECES = st.sampled_from(
    ["/", "//", "\\", "%2f", "%5c", "%09", "\t", "\n", " ", "..", ".", "%2e", "evil.example", "@",
     ":", "https:", "auth", "api", "%61uth", "?", "#", "%", "%25", ";", "x", "é", "\x00", "%00",
     "%c3%9f", "%c0%af", "%c3"]
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=40),
    st.lists(PIECES, max_size=10).map("".join),
    st.lists(PIECES, max_size=10).map(lambda pieces: "/" + "".join(pieces)),
    st.text(max_size=20).map(lambda text: "/" + quote(text)),
)


@given(VALUES)
def test_an_accepted_value_keeps_a_browser_on_our_origin(value: str) -> None:
    try:
        accepted = checked_return_to(value, CONFIG)
    except ReturnToInvalid:
        return
    resolved = urlsplit(browser_resolves(accepted))
    assert f"{resolved.scheme}://{resolved.netloc}" == ORIGIN
    first = resolved.path.split("/")[1] if resolved.path else ""
    assert first.casefold() not in ("auth", "api")
    assert accepted in (value, "/")


@pytest.mark.parametrize(
    "value",
    ["/files", "/files/x", "/Files/x", "/files;a/x", "/%66iles/x", "/files?x", "/deep/er/x",
     "/deep/er#x"],
)  # fmt: skip
def test_a_path_of_a_route_is_no_page(value: str, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(
        '[[route]]\nprefix = "/files"\nupstream = "http://a"\n'
        '[[route]]\nprefix = "/deep/er"\nupstream = "http://b"\n'
    )
    config = load(
        {
            "OIDC_ISSUER": "https://issuer.example/", "AUTH0_CLIENT_ID": "a",
            "AUTH0_CLIENT_SECRET": "b", "AUTH0_SECRET": "x" * 32, "APP_BASE_URL": ORIGIN,
            "BFF_ROUTES_FILE": str(file),
        }
    )  # fmt: skip
    with pytest.raises(ReturnToInvalid):
        checked_return_to(value, config)
    for page in ("/filesx", "/deep", "/deep/erx", "/x/files"):
        assert checked_return_to(page, config) == page
