"""How does an identity team's tool end all sessions of a user? `/auth/global-token-revocation`.

The request names the user by a subject identifier (RFC 9493) in `sub_id`. Callers are
authenticated as for the admin API.
Source: draft-parecki-oauth-global-token-revocation-05, sections 3.2 to 3.4.

A user without a session here gets the same response as any other: from now on an old sign-in of
theirs is refused, so the request had its effect. 404 is for another issuer than our provider, since
its users can't have sessions here.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, RequestRefused, UserNotFound
from bff.core.model import Group
from bff.machine_api import authentication
from bff.machine_api.authentication import AdminAuth
from bff.machine_api.messages import json_object, json_response, not_configured, text_of
from bff.sessions.lifecycle import Sessions

PATH = "/auth/global-token-revocation"
REASON = "global_token_revocation"
VALUE_MAX_CHARACTERS = 320
# Auth0: its own endpoint takes `subject`, as earlier drafts had it, and responds with 200.
STATUSES = {"sub_id": 204, "subject": 200}
"""The member that has the subject identifier, and the status of a success."""
MEMBERS = {"iss_sub": {"iss", "sub"}, "opaque": {"id"}, "email": {"email"}}
"""The members of each format of a subject identifier, besides `format`."""


def create_blueprint(config: Config, auth: AdminAuth, sessions: Sessions) -> Blueprint:
    """The route, or 404 in its place if no caller is configured."""
    blueprint = Blueprint("global_revocation", __name__)
    if not auth.configured:
        blueprint.add_url_rule(PATH, "off", not_configured, methods=["POST"])
        return blueprint
    authentication.protect(blueprint, auth)

    @blueprint.post(PATH)
    def revoke() -> Response:
        group: Group | None = None
        try:
            status, group = _read(json_object(), config.issuer)
            ended = sessions.end_group(group, REASON)
        except BFFError as error:
            _record(group, "failed" if error.status >= 500 else "refused", error.code)
            raise
        _record(group, "ok", f"ended {ended}")
        return json_response(status, {} if status == 200 else None)

    return blueprint


def _read(body: dict[str, Any], issuer: str) -> tuple[int, Group]:
    """The status of a success, and the sessions to end."""
    if len(body) != 1 or not body.keys() <= STATUSES.keys():
        raise RequestRefused("exactly one of sub_id and subject is needed")
    [(name, subject)] = body.items()
    return STATUSES[name], _group(_checked(subject), issuer)


def _checked(subject: object) -> dict[str, str]:
    """A subject identifier of a known format, with the members of this format and no others."""
    if not isinstance(subject, dict):
        raise RequestRefused("a subject identifier is a JSON object")
    form = subject.get("format")
    members = MEMBERS.get(form) if isinstance(form, str) else None
    if members is None or subject.keys() != {"format", *members}:
        raise RequestRefused("unknown format, or members that don't belong to it")
    return {name: text_of(subject[name], VALUE_MAX_CHARACTERS) for name in subject}


def _group(subject: dict[str, str], issuer: str) -> Group:
    if subject["format"] == "email":
        return Group.of_email(issuer, subject["email"])
    if subject["format"] == "opaque":
        return Group.of_user(issuer, subject["id"])
    if subject["iss"] != issuer:
        raise UserNotFound("another issuer")
    return Group.of_user(issuer, subject["sub"])


def _record(group: Group | None, outcome: audit.Outcome, result: str) -> None:
    kind = group.kind if group else "nobody"
    audit.record(
        "admin_called",
        outcome,
        reason=f"global_token_revocation {kind}: {result}",
        user=group.user if group else None,
        caller=authentication.caller(),
    )
