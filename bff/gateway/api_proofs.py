"""How does a request with a bound token prove to an API that the token is ours (DPoP, RFC 9449)?

An API takes a proof once. So every request that goes out has one of its own, also where libcurl
would by itself repeat a request on a new connection: here it doesn't, and we do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from bff.config import Config
from bff.config.route import DEFAULT_PORTS, Origin, Route
from bff.core.dpop import BoundToken, DPoPKeys, usable_nonce
from bff.core.errors import ProviderUnavailable, UpstreamUnreachable
from bff.gateway.request_body import RequestBody
from bff.gateway.response_head import Head
from bff.gateway.step_up_challenge import Malformed, challenges
from bff.gateway.upstream import ClientGone, Exchange

REPEATS_MAX = 2
"""How often a request is sent again that an idle connection has swallowed."""

Request = tuple[str, str, Sequence[str | bytes], RequestBody | None, ClientGone | None]
"""Method, target, header lines, body: the first arguments of `Upstream.send`."""


class APIProofs:
    """The proofs for the upstream of one route; safe for threads.

    Args:
        route: Its addresses, and what the API takes for its own.
        config: Its secrets, of which one has bound each token.
    """

    def __init__(self, route: Route, config: Config) -> None:
        self._keys = DPoPKeys(key.get_secret_value() for key in config.secrets)
        self._repeatable_methods = route.repeatable_methods
        self._url = route.dpop_url
        # `dpop_url` stands for the whole of the upstream's URL, path included.
        self._replaced = urlsplit(route.upstream_urls[0]).path.rstrip("/") if self._url else ""
        self._nonces: dict[Origin, str] = {}

    def proof(self, token: BoundToken, method: str, target: str, origin: Origin) -> str:
        """A new proof for one request.

        Args:
            token: The access token that goes with it.
            method: Of the request.
            target: As the upstream gets it; a query is left out.
            origin: Where the request goes.

        Raises:
            ProviderUnavailable: The token's key isn't configured any more; it is renewed then.

        Source: RFC 9449, sections 4.2 and 7.
        """
        key = self._keys.of(token.jkt)
        if key is None:
            raise ProviderUnavailable("the access token is bound to a key of an older secret")
        url = self._url_of(target.partition("?")[0], origin)
        nonce = self._nonces.get(origin, "")
        return key.proof(method, url, access_token=token, nonce=nonce)

    def _url_of(self, path: str, origin: Origin) -> str:
        if self._url is not None:
            url = self._url + path.removeprefix(self._replaced)
            return url if urlsplit(url).path else f"{url}/"
        scheme, host, port = origin
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}{'' if DEFAULT_PORTS.get(scheme) == port else f':{port}'}{path}"

    def send(self, send: Callable[..., Exchange], request: Request, token: BoundToken) -> Exchange:
        """Send *request* with a proof, and again if the API demands a nonce (section 9).

        Args:
            send: Of an `Upstream`, which asks for a proof for every request that it sends.
            request: Its header lines already have the token.
            token: The access token.

        Raises:
            BFFError, ClientDisconnected: As `Upstream.send`, and as `proof`.
        """
        body = request[3]
        exchange = self._sent(send, request, token)
        if not self._demands_nonce(exchange) or not (body is None or body.untouched):
            return exchange
        exchange.close()
        exchange = self._sent(send, request, token)
        self._note_nonce(exchange)
        return exchange

    def _sent(self, send: Callable[..., Exchange], request: Request, token: BoundToken) -> Exchange:
        """As libcurl would repeat it, but with another proof."""
        method, body = request[0], request[3]
        is_repeatable = body is None or body.finished
        left = REPEATS_MAX if is_repeatable and method in self._repeatable_methods else 0
        while True:
            try:
                return send(*request, prove=partial(self._line, token))
            except UpstreamUnreachable as error:
                if not error.is_swallowed or not left:
                    raise
                left -= 1

    def _line(self, token: BoundToken, method: str, target: str, origin: Origin) -> str:
        return f"dpop: {self.proof(token, method, target, origin)}"

    def _demands_nonce(self, exchange: Exchange) -> bool:
        """Note the newest nonce; whether the API refused the request for want of it."""
        is_new = self._note_nonce(exchange)
        return is_new and exchange.head.status == 401 and _says_use_nonce(exchange.head)

    def _note_nonce(self, exchange: Exchange) -> bool:
        nonce = usable_nonce(exchange.head.by_name.get("dpop-nonce"))
        if nonce:
            self._nonces[exchange.origin] = nonce
        return bool(nonce)


def _says_use_nonce(head: Head) -> bool:
    try:
        found = challenges(head.joined("www-authenticate"))
    except Malformed:
        return False
    return any(
        scheme == "dpop" and parameters.get("error") == "use_dpop_nonce"
        for scheme, parameters in found
    )
