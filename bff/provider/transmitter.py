"""How do we call a Shared Signals transmitter, and which of its responses is an answer?"""

from __future__ import annotations

import time
from typing import Any

import requests

from bff.config import Config
from bff.core.errors import TransmitterRefused, TransmitterUnavailable
from bff.provider.http_transport import Deadline, ExchangeFailed, Transport
from bff.provider.retry_after import retry_after


class Transmitter:
    """Requests with `BFF_SSF_TOKEN`, as it is at that moment.

    Attributes:
        transport: The connections to it, which are not kept from one round to the next.
        timeout_seconds: For one request.
    """

    def __init__(self, config: Config) -> None:
        self.transport = Transport(config.trusted_cas, config.provider_proxy_url)
        self.timeout_seconds = config.provider_timeout_seconds
        self._token = config.key_reader("ssf_token")

    def send(self, method: str, url: str, body: Any = None, **headers: str) -> requests.Response:
        """Send one request, with *body* as JSON if it isn't None; no redirect is followed.

        Returns:
            A response with a status of 2xx.

        Raises:
            TransmitterUnavailable: No response, 429 or 5xx.
            TransmitterRefused: Any other status.
        """
        session = requests.Session()
        self.transport.prepare(session)
        session.headers.update({"Accept": "application/json", **headers})
        if token := self._token():
            session.headers["Authorization"] = f"Bearer {token}"
        try:
            response = session.request(
                method,
                url,
                json=body,
                timeout=Deadline(self.timeout_seconds).remaining_seconds(),
                allow_redirects=False,
            )
        except ExchangeFailed as error:
            raise TransmitterUnavailable(error.detail, maybe_acted=error.sent) from error
        except requests.RequestException as error:
            raise TransmitterUnavailable(type(error).__name__) from error
        return _accepted(response)


def _accepted(response: requests.Response) -> requests.Response:
    status = response.status_code
    if 200 <= status < 300:
        return response
    pause = retry_after(response.headers, time.time())
    if status == 429 or status >= 500:
        raise TransmitterUnavailable(
            f"the transmitter answered with status {status}",
            retry_after_seconds=pause,
            maybe_acted=True,
        )
    raise TransmitterRefused(
        f"the transmitter answered with status {status}", status, asked_seconds=pause or 0
    )
