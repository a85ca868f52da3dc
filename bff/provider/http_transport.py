"""How long may one request to the provider take, how large may the response be, and was it sent?

The timeouts of the requests library count from byte to byte, so that a slow drip of bytes never
times out, and name lookups have none. Here a worker thread makes the exchange; its caller waits
until the deadline and then shuts the socket. All threads of the process share the connections.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from bff.config.route import origin_of
from bff.core.errors import ProviderUnavailable
from bff.core.operations import Operation, observers
from bff.core.work_slots import Waiting
from bff.provider.ended_exchange import POOLS, Exchange, exchange_of_thread
from bff.provider.idle_connections import close_idle

RESPONSE_MAX_BYTES = 1024 * 1024


class Deadline:
    """The instant by which a whole operation, of one request or several, must be over."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def remaining_seconds(self) -> float:
        """The time that is left; never negative."""
        return max(0.0, self._ends_at - time.monotonic())

    def part(self, share: float) -> Deadline:
        """A deadline after *share* (0 to 1) of what is left."""
        return Deadline(self.remaining_seconds() * share)


class ExchangeFailed(requests.RequestException):
    """There is no complete response; if `sent`, the request may have reached the provider."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.sent = sent

    def as_unavailable(self) -> ProviderUnavailable:
        """The same as an error of `core`."""
        return ProviderUnavailable(self.detail, maybe_acted=self.sent)


class Transport:
    """The connections to the provider, shared by all threads.

    Args:
        ca_file: PEM certificates of the CAs that are trusted for it, and no others.
        proxy_url: The HTTP proxy on the way there; None connects directly.
    """

    def __init__(self, ca_file: str, proxy_url: str | None = None) -> None:
        self._ca_file = ca_file
        self._proxies = {"http": proxy_url, "https": proxy_url} if proxy_url else {}
        self._adapter = DeadlineAdapter(pool_connections=4, pool_maxsize=32)

    def prepare(self, session: requests.Session) -> None:
        """Make *session* use these connections, and ignore the process's environment."""
        session.trust_env = False
        session.verify = self._ca_file
        session.proxies.update(self._proxies)
        session.headers.update({"User-Agent": "bff", "Accept-Encoding": "identity"})
        session.adapters.clear()
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)

    def get(self, url: str, deadline: Deadline, **headers: str) -> requests.Response:
        """What *url* answers; no redirect is followed. Raises ProviderUnavailable if nothing."""
        session = requests.Session()
        self.prepare(session)
        try:
            return session.get(
                url, timeout=deadline.remaining_seconds(), allow_redirects=False, headers=headers
            )
        except ExchangeFailed as error:
            raise error.as_unavailable() from error

    def get_json(self, url: str, deadline: Deadline, **headers: str) -> Any:
        """Fetch a document; with more *headers* than `Accept`.

        Raises:
            ProviderUnavailable: No response, or one that is no 200 with JSON.
        """
        response = self.get(url, deadline, **{"Accept": "application/json", **headers})
        return json_of(response, url)

    def close_idle(self) -> int:
        """Close connections that wait in vain; returns how many. Call it from any thread."""
        adapter = self._adapter
        return sum(map(close_idle, (adapter.poolmanager, *adapter.proxy_manager.values())))

    def close(self) -> None:
        """Close idle connections."""
        self._adapter.close()


def json_of(response: requests.Response, url: str) -> Any:
    """The document in the *response* of *url*; raises ProviderUnavailable if there is none."""
    if response.status_code != 200:
        raise ProviderUnavailable(f"{url} answered with status {response.status_code}")
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable(f"{url} answered with something that is not JSON") from error


class DeadlineAdapter(HTTPAdapter):
    """Applies `timeout` to the whole exchange, from the name lookup to the last byte."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use connections that another thread can shut."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The same for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Connections with a client certificate are those of its context, which trusts our CAs."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, None)
        if cert is not None:
            pool = {"cert_reqs": pool["cert_reqs"], "ssl_context": cert}
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave a context with a client certificate as it is."""
        if cert is None:
            super().cert_verify(conn, url, verify, None)  # type: ignore[no-untyped-call]
        else:
            conn.cert_reqs = "CERT_REQUIRED"

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send *request* and read the whole response.

        Raises:
            ExchangeFailed: Not complete within `timeout` seconds, broken off, or too large.
        """
        options = {"verify": verify, "proxies": proxies, "cert": cert}
        if not observers:
            return self._exchange(request, float(timeout), options)
        url = urlsplit(str(request.url))
        with Operation("provider", url.path, str(request.method)) as operation:
            operation.origin = origin_of(url.geturl())
            request.headers.update(operation.headers)
            response = self._exchange(request, float(timeout), options)
            operation.status = response.status_code
            return response

    def _exchange(
        self, request: requests.PreparedRequest, seconds: float, options: dict[str, Any]
    ) -> requests.Response:
        exchange = Exchange()
        if seconds > 0:
            work = (exchange, request, {"timeout": seconds, **options})
            threading.Thread(target=self._work, args=work, daemon=True).start()
        # Requests that wait for the provider keep no others from being served.
        with Waiting():
            done = seconds > 0 and exchange.done.wait(seconds)
        if not done:
            exchange.give_up()
            raise ExchangeFailed("the deadline passed", sent=exchange.sent)
        if exchange.response is None:
            error = exchange.error
            raise ExchangeFailed(_error_names(error), sent=exchange.sent) from error
        return exchange.response

    def _work(
        self, exchange: Exchange, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> None:
        exchange_of_thread.exchange = exchange
        try:
            response = super().send(request, stream=True, **options)
            response.raw = io.BytesIO(_read(response))
            exchange.response = response
        except Exception as error:  # The caller raises it, in its own thread.
            exchange.error = error
        finally:
            exchange.done.set()


def _read(response: requests.Response) -> bytes:
    body: bytes = response.raw.read(RESPONSE_MAX_BYTES + 1, decode_content=True)
    if len(body) > RESPONSE_MAX_BYTES:
        response.raw.close()
        raise ValueError(f"the answer is larger than {RESPONSE_MAX_BYTES} bytes")
    return body


def _error_names(error: BaseException | None) -> str:
    """The classes of *error* and its causes; their texts may quote what the provider sent."""
    names: list[str] = []
    while error is not None and len(names) < 5:
        name = type(error).__name__
        names.append(f"{name} ({error.strerror})" if isinstance(error, OSError)
                     and error.strerror else name)  # fmt: skip
        error = error.__cause__ or error.__context__
    return " < ".join(names)
