"""What may an administrator see and end? `/admin/sessions`.

    GET  /admin/sessions?sub=auth0|123             the sessions of a user
    GET  /admin/sessions?email=dana@example.com    the same, by the ID token's e-mail address
    POST /admin/sessions/end  {"sub": …}           all sessions of a user
                              {"email": …}
                              {"sub": …, "id": …}  one of them
                              {"everyone": true}   everyone's

Each end takes a `"reason"`, for the audit log. Subjects travel in a query or a body, never in a
path, since they may contain anything. Off unless `BFF_ADMIN_KEY` or `BFF_ADMIN_AUDIENCE` is set.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, NotFound, RequestRefused
from bff.core.model import Group
from bff.machine_api import authentication
from bff.machine_api.authentication import Admins
from bff.sessions.lifecycle import Sessions
from bff.sessions.summary import session_summary

REASON = "admin"
SUBJECT_MAX_CHARACTERS = 255
EMAIL_MAX_CHARACTERS = 320
ID_CHARACTERS = 32
NAMES = frozenset({"sub", "email", "everyone", "id", "reason"})


def create_blueprint(config: Config, admins: Admins, sessions: Sessions) -> Blueprint:
    """The routes, or what says 404 in their place if nobody is to use them."""
    blueprint = Blueprint("admin", __name__)
    if not admins.configured:
        # A GET may be a page of the SPA's own; its files are asked for it.
        blueprint.add_url_rule("/admin/sessions/end", "off", _off, methods=["POST"])
        return blueprint
    authentication.protect(blueprint, admins.admit)

    @blueprint.get("/admin/sessions")
    def list_sessions() -> Response:
        with Call("list") as call:
            if len(list(request.args.items(multi=True))) != 1:
                raise RequestRefused("one of sub and email is needed")
            call.group = _group(config.issuer, dict(request.args))
            found = [
                session_summary(s, sessions.public_id(s)) for s in sessions.of_group(call.group)
            ]
            call.result = f"found {len(found)}"
        return jsonify(sessions=found)

    @blueprint.post("/admin/sessions/end")
    def end_sessions() -> Response:
        with Call("end") as call:
            asked = authentication.json_object()
            call.reason = _reason(asked)
            call.group = _group(config.issuer, asked)
            if "id" in asked:
                public_id = authentication.text_of(asked["id"], ID_CHARACTERS)
                ended = sessions.end_named(call.group, public_id, REASON)
            else:
                ended = sessions.end_group(call.group, REASON)
            call.result = f"ended {ended}"
        return jsonify(ended=ended)

    return blueprint


class Call:
    """One call, audited when it is over, however it went."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.group: Group | None = None
        self.reason = ""
        self.result = ""

    def __enter__(self) -> Call:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._record("ok", self.result)
        elif isinstance(error, BFFError):
            self._record("failed" if error.status >= 500 else "refused", error.code)

    def _record(self, outcome: audit.Outcome, result: str) -> None:
        kind = self.group.kind if self.group else "nobody"
        said = f' "{self.reason}"' if self.reason else ""
        audit.record(
            "admin_called",
            outcome,
            reason=f"{self._what} {kind}: {result}{said}",
            user=self.group.user if self.group else None,
            caller=authentication.caller(),
        )


def _off() -> Response:
    raise NotFound


def _group(issuer: str, asked: dict[str, Any]) -> Group:
    """Whose sessions are meant: exactly one of `sub`, `email`, `everyone`, and nothing unknown."""
    if not asked.keys() <= NAMES:
        raise RequestRefused("a name is unknown")
    named = asked.keys() & {"sub", "email", "everyone"}
    if len(named) != 1 or (
        "everyone" in named and ("id" in asked or asked["everyone"] is not True)
    ):
        raise RequestRefused("one of sub, email and everyone is needed")
    if "sub" in named:
        return Group.of_user(issuer, authentication.text_of(asked["sub"], SUBJECT_MAX_CHARACTERS))
    if "email" in named:
        return Group.of_email(issuer, authentication.text_of(asked["email"], EMAIL_MAX_CHARACTERS))
    return Group.everyone()


def _reason(asked: dict[str, Any]) -> str:
    if "reason" not in asked:
        return ""
    return authentication.text_of(asked["reason"], audit.REASON_MAX_CHARACTERS)
