"""How does another site, such as the provider's portal, begin a sign-in here?

It sends the browser to `/auth/initiate-login`, by a link or a form. The browser is redirected to
`/auth/login`, which treats it like any other link: nothing happens on our side, and a silent
sign-in is refused. No cookie is read, and nothing of the caller is believed: `iss` must name our
provider, and `target_link_uri` must be a page of ours.
Source: OpenID Connect Core 1.0, section 4.
"""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from bff.config import Config
from bff.core.errors import IssuerMismatch, ReturnToInvalid
from bff.web.login_parameters import for_provider, single
from bff.web.page_load import refuse_all_but_page_loads
from bff.web.redirect import redirect
from bff.web.return_to import checked_return_to

PATH = "/auth/initiate-login"


def create_blueprint(config: Config) -> Blueprint:
    """Map the address of a sign-in that another site begins.

    Args:
        config: Our provider, our origin, and the parameters that go to the provider.
    """
    blueprint = Blueprint("initiated_login", __name__)

    @blueprint.route(PATH, methods=["GET", "POST"])
    def initiate() -> Response:
        refuse_all_but_page_loads(request, ("GET", "POST"))
        given = request.form if request.method == "POST" else request.args
        # Auth0: invitations and links in mails come without it.
        if single(given, "iss") not in (None, config.issuer):
            raise IssuerMismatch("a sign-in was begun for another provider")
        query = for_provider(given, config.passed_login_parameters)
        return_to = _own_page(single(given, "target_link_uri"), config)
        # 303: a POST becomes a GET, without its body.
        return redirect(f"/auth/login?{urlencode({'returnTo': return_to} | query)}", 303)

    return blueprint


def _own_page(uri: str | None, config: Config) -> str:
    """The path of *uri*, which must be a page of ours; `/` if there is none.

    Raises:
        ReturnToInvalid: It leads elsewhere, or can be read so.
    """
    if not uri or uri == config.app_base_url:
        return "/"
    path = uri.removeprefix(config.app_base_url)
    if path == uri or not path.startswith("/"):
        raise ReturnToInvalid("target_link_uri is not an address of this application")
    return checked_return_to(path, config)
