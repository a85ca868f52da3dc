"""How does a native app hand its sign-in over to the browser that it opens?

With `session_transfer_token` at `/auth/login`, which goes on to the provider. The token signs in
whoever has it: it is kept in no cookie, shown on no page and logged nowhere.
"""

from __future__ import annotations

import re

from flask import Request

from bff.config import Config
from bff.config.validators import TRANSFER_TOKEN as PARAMETER
from bff.core.errors import CrossSite, ParameterInvalid
from bff.web.login_parameters import single
from bff.web.own_host import is_link_of_another_site

# Auth0: Native to Web SSO.
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


def transfer_token(request: Request, config: Config) -> dict[str, str]:
    """The parameter for the provider, if the address has one.

    Raises:
        ParameterInvalid: It is repeated, too long, or has other characters than a token.
        CrossSite: By a link of another site, which could sign the user in as somebody else.
    """
    token = single(request.args, PARAMETER)
    if not token:
        return {}
    if not _TOKEN.fullmatch(token):
        raise ParameterInvalid(f"{PARAMETER} is too long, or no token")
    if is_link_of_another_site(request, config):
        raise CrossSite("a session transfer by a link of another site")
    return {PARAMETER: token}
