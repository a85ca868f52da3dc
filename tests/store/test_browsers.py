"""Which session has a browser, in whatever order its sign-ins and its logout come?"""

from __future__ import annotations

from itertools import permutations

import pytest

from bff.store.browsers import BrowserClosed, Browsers, browser_key
from tests.support.bench import Bench


@pytest.fixture
def browsers(bench: Bench) -> Browsers:
    return bench.stores.browsers


def test_a_browser_closed_by_a_logout_is_not_taken(browsers: Browsers) -> None:
    browsers.take("b", (), "one")
    assert browsers.close(["b"]) == {"one"}
    with pytest.raises(BrowserClosed):
        browsers.take("b", (), "two")
    assert not browsers.has("b", "one")
    assert browsers.close(["b"]) == {"one"}, "a repeated logout is told the same"


def test_the_last_sign_in_has_the_browser_and_learns_who_had_it(browsers: Browsers) -> None:
    assert browsers.take("b", (), "one") == set()
    assert browsers.take("b", (), "two") == {"one"}
    assert browsers.take("b", (), "two") == {"one"}, "a repeated command is told the same"
    assert (browsers.has("b", "one"), browsers.has("b", "two")) == (False, True)


SIGN_INS = [("a", ("b",)), ("b", ("c",)), ("c", ()), ("d", ("b", "c"))]
"""By which name each was begun, and which others its browser had at the callback."""


@pytest.mark.parametrize(
    "order", list(permutations(SIGN_INS)), ids=lambda o: "".join(x[0] for x in o)
)
def test_all_names_of_a_browser_lead_to_one_session(
    browsers: Browsers, order: tuple[tuple[str, tuple[str, ...]], ...]
) -> None:
    live: set[str] = set()
    for own, others in order:
        ended = browsers.take(own, others, f"of {own}")
        live = (live - ended) | {f"of {own}"}
    # Whichever name the browser kept.
    for name in "abcd":
        assert [one for one in live if browsers.has(name, one)] == [f"of {order[-1][0]}"]
    assert live == {f"of {order[-1][0]}"}
    assert live <= browsers.close(["d"])
    for name in "abc":
        with pytest.raises(BrowserClosed):
            browsers.take(name, (), "late")


def test_a_name_that_a_logout_closed_does_not_stand_in_the_way_of_a_new_one(
    browsers: Browsers,
) -> None:
    """The browser missed the response that would have deleted it."""
    browsers.take("a", (), "one")
    browsers.close(["a"])
    assert browsers.is_closed("a")
    assert browsers.take("b", ("a",), "two") <= {"one"}
    assert browsers.has("b", "two")


@pytest.mark.parametrize("order", list(permutations("abcd")), ids="".join)
def test_the_id_to_keep_leads_to_the_session_by_itself(
    browsers: Browsers, order: tuple[str, ...]
) -> None:
    """One that a logout has closed leads nowhere, and one with a successor for a day only."""
    closed, *ids = order
    names = dict(zip(order, map(browser_key, order), strict=True))
    browsers.take(names[closed], (), "old")
    browsers.close([names[closed]])
    browsers.take(names[ids[0]], [names[one] for one in order], "new")
    kept = browsers.id_to_keep(order)
    assert kept in ids
    assert browsers.has(names[kept], "new")
    assert not browsers.is_closed(names[kept])
    others = [one for one in ids if one != kept]
    assert browsers.id_to_keep([closed, others[0]]) == others[0], "it leads there for a day"
    browsers.close([names[kept]])
    assert browsers.id_to_keep(order) is None


@pytest.mark.parametrize("new", ["a", "z"], ids=["before", "after"])
def test_a_sign_in_from_before_a_logout_takes_no_browser_that_has_signed_in_since(
    browsers: Browsers, new: str
) -> None:
    """Wherever the new name stands among the others, which is chance."""
    browsers.take("m", (), "old")
    browsers.take("n", ("m",), "old too")
    browsers.close(["m"])
    browsers.take(new, (), "of the next user")
    for own in ("m", "n"):
        with pytest.raises(BrowserClosed):
            browsers.take(own, [new], "late")
    assert browsers.has(new, "of the next user")
