"""For which API is an access token checked? The API that asks names itself: `?audience=…`.

A token for one API must not be accepted by another, so an API learns only about tokens of its own
audience: `AUTH0_AUDIENCE`, and the audiences of the routes. The name is part of the address, since
a framework's introspection client lets one set the address, but no further form parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flask import request

from bff.config.route import Route
from bff.core.errors import RequestRefused
from bff.resource_server.verification import AccessTokenVerifier


class AudienceVerifiers:
    """One verifier of access tokens for each API that may ask.

    Args:
        own: `AUTH0_AUDIENCE`, the default.
        routes: Their audiences can be named, too.
        make_verifier: Makes the verifier for an audience; None is any API's.
    """

    def __init__(
        self,
        own: str | None,
        routes: Iterable[Route],
        make_verifier: Callable[[str | None], AccessTokenVerifier],
    ) -> None:
        named = {own, *(route.token.audience for route in routes)}
        self._own = make_verifier(own)
        self._by_name = {name: make_verifier(name) for name in named if name is not None}

    def for_request(self) -> AccessTokenVerifier:
        """The verifier for the audience that the current request names.

        Raises:
            RequestRefused: It names several, or one for which we get no tokens.
        """
        names = request.args.getlist("audience")
        if not names:
            return self._own
        if len(names) > 1 or names[0] not in self._by_name:
            raise RequestRefused("the audience is none of ours")
        return self._by_name[names[0]]
