"""Who may call a route that an application adds? Its own pages, unless the route says otherwise.

A route without a mark is guarded as our own endpoints are: a request that another site has caused
is refused. The marks are attributes of the view function and are looked up for each request, so
they work above and below `@app.get(…)`, and a wrapper that hides one leaves the route guarded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

from flask import Flask, current_app, request

from bff.access import session_cookie
from bff.access.session_guard import SessionGuard

Mark = Literal["public", "machine", "signed_in"]
P = ParamSpec("P")
R = TypeVar("R")
View = TypeVar("View", bound=Callable[..., Any])

EXTENSION = "bff_guard"
OURS_EXTENSION = "bff_own_endpoints"
_MARK = "__bff_route__"
MACHINE_ROUTE = "this is a machine route: whoever calls it, it has neither flask.session nor a user"


def public_route(view: View) -> View:
    """Let any site call this route; what it does in the user's name is refused to other sites.

    Args:
        view: The view function.

    Raises:
        TypeError: It is no function, or has another mark.
    """
    return _marked(view, "public")


def machine_route(view: View) -> View:
    """Let programs call this route; it must check by itself who they are.

    It has no session, whatever cookie comes with the request: using one raises RuntimeError.

    Args:
        view: The view function.

    Raises:
        TypeError: It is no function, or has another mark.
    """
    return _marked(view, "machine")


def signed_in(view: Callable[P, R]) -> Callable[P, R]:
    """Require a session for this route, as our own endpoints do; without one it is a 401.

    Args:
        view: The view function, or a method of a `MethodView`.

    Raises:
        TypeError: It is no function, or has another mark.
    """
    _marked(view, "signed_in")

    @wraps(view)
    def checked(*args: P.args, **named: P.kwargs) -> R:
        # Flask doesn't show the mark of a method; and once more costs nothing.
        own_guard().session()
        return view(*args, **named)

    return checked


def own_guard() -> SessionGuard:
    """The guard of the current application.

    Raises:
        RuntimeError: It isn't one of `create_app`, or this is a machine route.
    """
    guard = current_app.extensions.get(EXTENSION)
    if not isinstance(guard, SessionGuard):
        raise RuntimeError("the current Flask application was not made by bff.create_app")
    session_cookie.current().refuse_if_unusable()
    return guard


def guard_own_routes(app: Flask, guard: SessionGuard) -> None:
    """Check each request on a route that is added to *app* after this call."""
    ours = frozenset(app.view_functions)
    app.extensions[EXTENSION] = guard
    app.extensions[OURS_EXTENSION] = ours

    def check() -> None:
        endpoint = request.endpoint
        if endpoint is None or endpoint in ours:
            return
        mark: Mark | None = getattr(app.view_functions[endpoint], _MARK, None)
        if mark == "machine":
            session_cookie.current().refused = MACHINE_ROUTE
        elif mark == "signed_in":
            guard.session()
        elif mark is None:
            guard.refuse_cross_site()

    app.before_request(check)


def added_paths(app: Flask) -> list[str]:
    """Where the routes begin that were added to *app*, without machine routes: `/reports`."""
    ours = app.extensions[OURS_EXTENSION]
    added = (rule for rule in app.url_map.iter_rules() if rule.endpoint not in ours)
    paths = {
        rule.rule.partition("<")[0].rstrip("/") or "/"
        for rule in added
        # A rule may have no view: one for `url_for` only, or one whose view comes later.
        if getattr(app.view_functions.get(rule.endpoint), _MARK, None) != "machine"
    }
    return sorted(paths)


def _marked(view: View, mark: Mark) -> View:
    if not callable(view) or isinstance(view, type):
        raise TypeError(f"a route is marked at its view function, not at {view!r}")
    other = getattr(view, _MARK, mark)
    if other != mark:
        raise TypeError(f"{view!r} is marked as {other} and as {mark}")
    setattr(view, _MARK, mark)
    return view
