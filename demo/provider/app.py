"""How is the provider's Flask application put together?"""

from flask import Flask, request

from demo.provider import authorize, control, logout, par, token_views
from demo.provider.backchannel import BackChannel
from demo.provider.oauth import DemoAuthorizationServer
from demo.provider.settings import ProviderSettings
from demo.provider.state import ProviderState


def create_provider(settings: ProviderSettings) -> Flask:
    """Return the provider as a Flask application; its state is `extensions["demo_provider"]`."""
    app = Flask(__name__)
    state = ProviderState(settings)
    backchannel = BackChannel(state)
    server = DemoAuthorizationServer(state)
    app.extensions["demo_provider"] = state
    app.extensions["demo_provider_backchannel"] = backchannel

    @app.before_request
    def read_the_body() -> None:
        # An unread body would be parsed as the next request of the connection.
        request.get_data(parse_form_data=True)

    authorize.register(app, state, server)
    token_views.register(app, state, server)
    logout.register(app, state, server, backchannel)
    par.register(app, state, server)
    control.register(app, state, backchannel)
    return app
