"""What holds for the tests of the demo."""

import threading
from collections.abc import Iterator

import pytest

from bff.demo.api.app import create_app
from bff.demo.api.serving import APIServer
from bff.demo.api.tokens import IssuerKeys, TokenValidator
from tests.demo.api_client import API, AUDIENCE, ISSUER, Issuer
from tests.support.provider_client import start_client

__all__ = ["start_client"]


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def validator(issuer: Issuer) -> TokenValidator:
    return TokenValidator(ISSUER, AUDIENCE, IssuerKeys(ISSUER, issuer.fetch))


@pytest.fixture
def server(validator: TokenValidator) -> Iterator[APIServer]:
    server = APIServer(("127.0.0.1", 0), create_app(validator).wsgi_app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def api(server: APIServer) -> API:
    return API(server)
