"""How does a browser bind its session to a key, and how does it prove later that it has the key?

Browsers send these requests by themselves, beside those of the page; no script sees them.

- `POST /auth/device/register`, after a sign-in. It may lack the session's cookie, since the browser
  takes it for a part of the provider's redirect. So the sealed `authorization`, which only the
  response to the sign-in had, says which session is meant. The key is written once and for all.
- `POST /auth/device/refresh`, whenever the short-lived cookie has ended or is about to. Without a
  proof the response is 403 with a challenge, and the browser comes again.

A 4xx other than that 403 ends the binding in the browser, and so does 429. So what is no fault of
the browser is a 503: it comes again with the next request.
Source: W3C Device Bound Session Credentials (Editor's Draft of 2026).
"""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, after_this_request, current_app, jsonify, request

from bff.access.cookie_header import are_hidden
from bff.access.device_binding import (
    COOKIE_ATTRIBUTES,
    REFRESH_PATH,
    REGISTER_PATH,
    REGISTRATION_SECONDS,
    DeviceBinding,
)
from bff.access.own_routes import added_paths
from bff.access.session_guard import SessionGuard
from bff.config import Config
from bff.core import audit
from bff.core.device_binding import COOKIE
from bff.core.device_proof import DeviceProof, read_proof
from bff.core.errors import (
    DeviceCheckUnavailable,
    DeviceProofInvalid,
    NotFound,
    SealInvalid,
    SealKeyUnknown,
    SessionEnded,
)
from bff.core.model import Session
from bff.store import Stores

PROOF = "Secure-Session-Response"
CHALLENGE = "Secure-Session-Challenge"
SESSION_ID = "Sec-Secure-Session-Id"
SITES_WITH_COOKIE = frozenset({None, "same-origin", "none"})
"""`Sec-Fetch-Site` of requests that have the session's cookie, if the browser has it."""

_SESSION_ID = re.compile(r'"?([A-Za-z0-9_-]{1,128})"?')


def create_blueprint(
    config: Config, guard: SessionGuard, stores: Stores, binding: DeviceBinding | None
) -> Blueprint:
    """Map the two addresses to `DeviceProofs`; a 404 while nothing is bound."""
    blueprint = Blueprint("device_proofs", __name__)
    proofs = DeviceProofs(config, guard, stores, binding) if binding else None

    def register() -> Response:
        return _on(proofs).register()

    def refresh() -> Response:
        return _on(proofs).refresh()

    blueprint.add_url_rule(REGISTER_PATH, view_func=register, methods=["POST"])
    blueprint.add_url_rule(REFRESH_PATH, view_func=refresh, methods=["POST"])
    return blueprint


def _on(proofs: DeviceProofs | None) -> DeviceProofs:
    if proofs is None:
        raise NotFound("BFF_DEVICE_BINDING is off")
    return proofs


class DeviceProofs:
    """Binds sessions, and checks the proofs of bound ones.

    Args:
        config: The routes, whose requests wait in the browser for the short-lived cookie.
        guard: Finds the session of a request.
        stores: The sessions' records, their keys, and which challenges were used.
        binding: Makes challenges and cookies.
    """

    def __init__(
        self, config: Config, guard: SessionGuard, stores: Stores, binding: DeviceBinding
    ) -> None:
        self._guard = guard
        self._records, self._keys = stores.records, stores.device_keys
        self._used = stores.seen_messages
        self._binding = binding
        self._paths = ["/auth/profile", "/auth/sessions", *(r.prefix for r in config.routes)]
        if config.id_token_hint:
            self._paths.append("/auth/logout")  # Without the cookie it has no hint.

    # ------------------------------------------------------------ a new session
    def register(self) -> Response:
        """`POST /auth/device/register`: bind the session that has just begun.

        Raises:
            DeviceProofInvalid: The proof, its challenge or its authorization is wrong, or old, or
                the session is bound already.
            SessionEnded: The session has ended.
            StoreUnavailable: Redis is away: the session isn't bound, or is and the browser doesn't
                know, so that it has to sign in again.
        """
        proof = read_proof(request.headers.get(PROOF))
        if proof.key is None:
            raise DeviceProofInvalid("a registration without a key")
        proof.refuse_other_key(proof.key)
        right = self._binding.open_registration(proof.authorization)
        session = self._load(right.session_key)
        now = session.read_at
        issued_at = self._binding.challenges.issued_at(
            proof.challenge, "register", session.key, now
        )
        # Either time is bounded on both sides: the clock may have been set back.
        in_time = right.ends_at - REGISTRATION_SECONDS - 1 <= now <= right.ends_at
        if issued_at is None or not in_time:
            raise self._refused(session, "registration_late")
        bound = self._keys.bind(session.key, proof.key)
        if bound == "gone":
            raise SessionEnded("the session has ended while its browser made a key")
        if bound == "taken":
            raise self._refused(session, "registration_repeated")
        audit.record("device_bound", "ok", session_key=session.key, user=session.identity.user)
        return self._instructions(session, self._binding.session_ids(session.key)[0])

    def _load(self, session_key: str) -> Session:
        try:
            found = self._records.load(session_key, slide=False)
        except SealKeyUnknown:
            raise
        except SealInvalid:
            found = None
        if found is None:
            raise SessionEnded("the session has ended before its browser had a key")
        return found.session

    # ------------------------------------------------------------ a bound session
    def refresh(self) -> Response:
        """`POST /auth/device/refresh`: the next short-lived cookie, for a proof.

        A session that has ended, or another one than the browser means, ends in the browser, too.

        Raises:
            DeviceProofInvalid: The proof is missing, wrong, late or used; a challenge comes with it
                if the session is bound.
            DeviceCheckUnavailable: The browser can't send the session's cookie now.
            StoreUnavailable, SealKeyUnknown: It can't be checked now; the binding stays.
        """
        match = _SESSION_ID.fullmatch(request.headers.get(SESSION_ID, ""))
        if match is None:
            raise DeviceProofInvalid("no session id")
        if request.headers.get("Sec-Fetch-Site") not in SITES_WITH_COOKIE or are_hidden(
            request.environ
        ):
            raise DeviceCheckUnavailable("a request without the session's cookie")
        session = self._guard.session_to_prove()
        if session is None or session.bound_at is None:
            return self._end(match[1])
        ids = self._binding.session_ids(session.key)
        if match[1] not in ids:
            return self._end(match[1])
        self._challenge_with_response(session, match[1])
        if not request.headers.get(PROOF):
            raise DeviceProofInvalid("no proof yet")
        self._check(session, read_proof(request.headers.get(PROOF)))
        return self._instructions(session, match[1], has_challenge=True)

    def _check(self, session: Session, proof: DeviceProof) -> None:
        """Return if *proof* is by the session's browser, for a challenge that wasn't used yet."""
        challenges = self._binding.challenges
        issued_at = challenges.issued_at(proof.challenge, "refresh", session.key, session.read_at)
        if issued_at is None:
            # As after a night, or a rotation of the secret: the next one is on its way.
            raise DeviceProofInvalid("a challenge that is old or of another session")
        key = self._keys.key_of(session.key)
        if key is None:
            raise SessionEnded("the session has ended meanwhile")
        try:
            proof.refuse_other_key(key)
        except DeviceProofInvalid as error:
            raise self._refused(session, "other_key") from error
        until = issued_at + challenges.lifetime_seconds + 1
        if not self._used.add_first("device challenge", "", proof.challenge, until=until):
            raise self._refused(session, "challenge_repeated")

    def _refused(self, session: Session, reason: str) -> DeviceProofInvalid:
        audit.record(
            "device_refused", "refused",
            reason=reason, session_key=session.key, user=session.identity.user,
        )  # fmt: skip
        return DeviceProofInvalid(reason)

    # ------------------------------------------------------------ what the browser is told
    def _instructions(
        self, session: Session, session_id: str, *, has_challenge: bool = False
    ) -> Response:
        """What is bound and where, with the short-lived cookie and the next challenge."""
        include = {"type": "include", "domain": "*"}
        exclude = {"type": "exclude", "domain": "*"}
        added = added_paths(current_app)
        # The last rule that matches counts: pages, files and sign-ins never wait for a cookie.
        rules = [exclude | {"path": "/"}, *(include | {"path": path} for path in added)]
        rules += [exclude | {"path": "/auth"}, *(include | {"path": path} for path in self._paths)]
        cookie = {"type": "cookie", "name": COOKIE, "attributes": COOKIE_ATTRIBUTES}
        response = _json(
            session_identifier=session_id,
            refresh_url=REFRESH_PATH,
            scope={"include_site": False, "scope_specification": rules},
            credentials=[cookie],
        )
        self._binding.set_cookie(response, session.key, session.read_at)
        if not has_challenge:
            self._challenge_with_response(session, session_id)
        return response

    def _challenge_with_response(self, session: Session, session_id: str) -> None:
        challenge = self._binding.challenges.new("refresh", session.key, session.read_at)

        @after_this_request
        def challenge_browser(response: Response) -> Response:
            response.headers[CHALLENGE] = f'"{challenge}";id="{session_id}"'
            return response

    def _end(self, session_id: str) -> Response:
        """End the binding in the browser; Chromium 156 wants to be told which."""
        return _json(**{"session_identifier": session_id, "continue": False})


def _json(**members: Any) -> Response:
    response = jsonify(**members)
    response.headers["Cache-Control"] = "no-store"
    return response
