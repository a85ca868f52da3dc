"""Which sessions can an administrator list and end, and which end lift? `/admin/sessions`.

    GET  /admin/sessions?sub=auth0|123             the sessions of a user
    GET  /admin/sessions?email=dana@example.com    the same, by the ID token's e-mail address
    POST /admin/sessions/end  {"sub": …}           all sessions of a user
                              {"email": …}
                              {"sub": …, "id": …}  one of them
                              {"everyone": true}   all sessions of all users
    POST /admin/sessions/allow                     accepts sign-ins from before such an end again;
                                                   it is named in the same way, without an `id`

A POST can have a `"reason"`, for the audit log. A subject may contain any character, so it is in a
query or a body, never in a path. Off unless `BFF_ADMIN_KEY` or `BFF_ADMIN_AUDIENCE` is set.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, RequestRefused
from bff.core.model import Ended, Group
from bff.machine_api import authentication
from bff.machine_api.authentication import AdminAuth
from bff.machine_api.messages import json_object, not_configured, text_of
from bff.sessions.lifecycle import Sessions
from bff.sessions.summary import session_summary
from bff.store.watermarks import Watermarks

REASON = "admin"
RESPONSE_SECONDS = 20.0
"""A proxy in front waits for a minute at most."""
SUBJECT_MAX_CHARACTERS = 255
EMAIL_MAX_CHARACTERS = 320
ID_CHARACTERS = 32
NAMES = frozenset({"sub", "email", "everyone", "id", "reason"})


def create_blueprint(
    config: Config, auth: AdminAuth, sessions: Sessions, watermarks: Watermarks
) -> Blueprint:
    """The routes, or 404 in their place if no caller is configured."""
    blueprint = Blueprint("admin", __name__)
    if not auth.configured:
        # Only the POSTs: a GET may be for a page of the SPA.
        for action in ("end", "allow"):
            path = f"/admin/sessions/{action}"
            blueprint.add_url_rule(path, action, not_configured, methods=["POST"])
        return blueprint
    authentication.protect(blueprint, auth)
    admin = SessionAdmin(config, sessions, watermarks)

    @blueprint.get("/admin/sessions")
    def list_sessions() -> Response:
        return jsonify(sessions=admin.find(list(request.args.items(multi=True))))

    @blueprint.post("/admin/sessions/end")
    def end_sessions() -> tuple[Response, int]:
        ended = admin.end()
        if ended.left:
            return jsonify(ended=ended.count, left=ended.left), 202
        return jsonify(ended=ended.count), 200

    @blueprint.post("/admin/sessions/allow")
    def allow_sign_ins() -> Response:
        return jsonify(admin.allow())

    return blueprint


class SessionAdmin:
    """Lists and ends sessions, and lifts ends; each call has a line in the audit log."""

    def __init__(self, config: Config, sessions: Sessions, watermarks: Watermarks) -> None:
        self._issuer = config.issuer
        self._sessions = sessions
        self._watermarks = watermarks

    def find(self, parameters: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """The sessions of the user that the one parameter names.

        Raises:
            RequestRefused: There is not exactly one parameter, or it names no user.
            StoreUnavailable: Redis is away.
        """
        with AuditedCall("list") as call:
            if len(parameters) != 1:
                raise RequestRefused("one of sub and email is needed")
            call.group = _group(self._issuer, dict(parameters))
            found = [
                session_summary(session, self._sessions.public_id(session))
                for session in self._sessions.of_group(call.group)
            ]
            call.result = f"found {len(found)}"
        return found

    def end(self) -> Ended:
        """End the sessions that the request's body names.

        Those of everyone may be many; then some of them are left, and end soon after the response.

        Raises:
            RequestRefused: The body doesn't name sessions.
            BodyTooLarge: It is too large.
            SessionUnknown: It names one session by its id, and the user has none of this id.
            StoreUnavailable: Redis is away.
        """
        with AuditedCall("end") as call:
            parameters = json_object()
            call.reason = _reason(parameters)
            call.group = _group(self._issuer, parameters)
            ended = self._end(call.group, parameters)
            call.result = f"ended {ended.count}" + (f", {ended.left} left" if ended.left else "")
        return ended

    def allow(self) -> dict[str, int | None]:
        """Lift the end that the request's body names; returns whether there was one, as 1 or 0.

        And before which instant sign-ins are still refused, by an end of everyone or a newer one.

        Raises:
            RequestRefused: The body doesn't name a user or everyone.
            BodyTooLarge: It is too large.
            StoreUnavailable: Redis is away.
        """
        with AuditedCall("allow") as call:
            parameters = json_object()
            call.reason = _reason(parameters)
            call.group = _group(self._issuer, parameters)
            if "id" in parameters:
                raise RequestRefused("an end of one session keeps no sign-in out")
            lifted = int(self._watermarks.lift(call.group))
            call.result = f"lifted {lifted}"
            still_at = self._watermarks.newest_of([call.group, Group.everyone()])
        return {"lifted": lifted, "still_refused_before": still_at}

    def _end(self, group: Group, parameters: dict[str, Any]) -> Ended:
        if "id" in parameters:
            public_id = text_of(parameters["id"], ID_CHARACTERS)
            return Ended(self._sessions.end_named(group, public_id, REASON))
        if group.kind == "everyone":
            return self._sessions.end_everyone(REASON, RESPONSE_SECONDS)
        return Ended(self._sessions.end_group(group, REASON))


class AuditedCall:
    """One call of the admin API; its outcome is in the audit log, whether it failed or not."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.group: Group | None = None
        self.reason = ""
        self.result = ""

    def __enter__(self) -> AuditedCall:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._record("ok", self.result)
        elif isinstance(error, BFFError):
            self._record("failed" if error.status >= 500 else "refused", error.code)

    def _record(self, outcome: audit.Outcome, result: str) -> None:
        kind = self.group.kind if self.group else "nobody"
        quoted = f' "{self.reason}"' if self.reason else ""
        audit.record(
            "admin_called",
            outcome,
            reason=f"{self._what} {kind}: {result}{quoted}",
            user=self.group.user if self.group else None,
            caller=authentication.caller(),
        )


def _group(issuer: str, parameters: dict[str, Any]) -> Group:
    """The sessions that a request names: by exactly one of `sub`, `email` and `everyone`."""
    if not parameters.keys() <= NAMES:
        raise RequestRefused("a name is unknown")
    named = parameters.keys() & {"sub", "email", "everyone"}
    if len(named) != 1 or (
        "everyone" in named and ("id" in parameters or parameters["everyone"] is not True)
    ):
        raise RequestRefused("one of sub, email and everyone is needed")
    if "sub" in named:
        return Group.of_user(issuer, text_of(parameters["sub"], SUBJECT_MAX_CHARACTERS))
    if "email" in named:
        return Group.of_email(issuer, text_of(parameters["email"], EMAIL_MAX_CHARACTERS))
    return Group.everyone()


def _reason(parameters: dict[str, Any]) -> str:
    if "reason" not in parameters:
        return ""
    return text_of(parameters["reason"], audit.REASON_MAX_CHARACTERS)
