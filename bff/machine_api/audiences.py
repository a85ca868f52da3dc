"""For which API is an access token judged? The one that asks names itself: `?audience=…`.

A token for one API is none for another, so an API is told only of its own: `AUTH0_AUDIENCE`, and
those for which a route hands tokens out. The name stands in the address, since frameworks let one
set that, and no more form fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flask import request

from bff.config.route import Route
from bff.core.errors import RequestRefused
from bff.resource_server.verification import AccessTokenVerifier


class AudienceVerifiers:
    """The APIs that may ask.

    Args:
        own: `AUTH0_AUDIENCE`, which is meant where none is named.
        routes: Their audiences may be named, too.
        verifier: Makes what judges tokens for an audience.
    """

    def __init__(
        self,
        own: str | None,
        routes: Iterable[Route],
        verifier: Callable[[str | None], AccessTokenVerifier],
    ) -> None:
        named = {own, *(route.token.audience for route in routes)}
        self._own = verifier(own)
        self._by_name = {name: verifier(name) for name in named if name is not None}

    def asked(self) -> AccessTokenVerifier:
        """What judges tokens for the API that the current request names.

        Raises:
            RequestRefused: It names several, or one that gets no tokens by us.
        """
        names = request.args.getlist("audience")
        if not names:
            return self._own
        if len(names) > 1 or names[0] not in self._by_name:
            raise RequestRefused("the audience is none of ours")
        return self._by_name[names[0]]
