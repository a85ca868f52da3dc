"""In which ways can a session end?

Each function ends the session whose credentials were copied, and returns after the response.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from demo.prove.browser import FROM_ANOTHER_SITE, send
from demo.prove.installation import Installation
from demo.prove.rows import ProofFailed
from demo.prove.thief import Thief, signed_in

IDLE_SECONDS = 4


def spa(installation: Installation, thief: Thief) -> None:
    """The SPA's fetch."""
    _expect(200, thief.browser.fetch("POST", "/auth/logout").status_code)


def link(installation: Installation, thief: Thief) -> None:
    """A link in the application."""
    _expect(303, thief.browser.open("/auth/logout").status_code)


def form(installation: Installation, thief: Thief) -> None:
    """A link from another site: the confirmation page and its form."""
    page = thief.browser.open("/auth/logout", headers=FROM_ANOTHER_SITE)
    _expect(200, page.status_code)
    _expect(303, thief.browser.submit(page).status_code)


def backchannel_sid(installation: Installation, thief: Thief) -> None:
    """The provider's logout token for one session."""
    _backchannel(installation, sid=thief.sid, sub=thief.sub)


def backchannel_sub(installation: Installation, thief: Thief) -> None:
    """The provider's logout token for a user."""
    _backchannel(installation, sub=thief.sub)


def _backchannel(installation: Installation, **whom: str) -> None:
    deliveries = installation.control("POST", "backchannel", **whom)
    _expect([200], [delivery["status"] for delivery in deliveries])


def admin(installation: Installation, thief: Thief) -> None:
    """The admin API, all sessions of a user."""
    end_user(installation, thief.sub)


def end_user(installation: Installation, sub: str) -> None:
    """End all sessions of a user by the admin API."""
    _admin_end(installation, sub=sub, reason="the proof")


def admin_one(installation: Installation, thief: Thief) -> None:
    """The admin API, one session of a user."""
    url = f"{installation.urls[-1]}/admin/sessions"
    listed = send("GET", url, params={"sub": thief.sub}, headers=_key(installation)).json()[
        "sessions"
    ]
    _expect(1, len(listed))
    _admin_end(installation, sub=thief.sub, id=listed[0]["id"])


def admin_everyone(installation: Installation, thief: Thief) -> None:
    """The admin API, the sessions of all users."""
    _admin_end(installation, everyone=True)


def _admin_end(installation: Installation, **whom: Any) -> None:
    url = f"{installation.urls[-1]}/admin/sessions/end"
    _expect(200, send("POST", url, json=whom, headers=_key(installation)).status_code)


def global_token_revocation(installation: Installation, thief: Thief) -> None:
    """Global Token Revocation, as the tools of an identity team request it."""
    subject = {"format": "iss_sub", "iss": installation.issuer, "sub": thief.sub}
    url = f"{installation.urls[-1]}/auth/global-token-revocation"
    response = send("POST", url, json={"sub_id": subject}, headers=_key(installation))
    _expect(204, response.status_code)


def _key(installation: Installation) -> dict[str, str]:
    return {"Authorization": f"Bearer {installation.admin_key}"}


def log_stream_logout(installation: Installation, thief: Thief) -> None:
    """An event of Auth0's log stream: the session at the provider ended."""
    _log_event(installation, "slo", user_id=thief.sub, details={"session_id": thief.sid})


def log_stream_password(installation: Installation, thief: Thief) -> None:
    """An event of Auth0's log stream: the user changed the password."""
    _log_event(installation, "scp", user_id=thief.sub)


def _log_event(installation: Installation, kind: str, **data: Any) -> None:
    # An event in the same second as the sign-in could precede it and wouldn't end the session.
    time.sleep(1)
    event = {
        "log_id": secrets.token_hex(16),
        "data": {"type": kind, "date": datetime.now(UTC).isoformat(), **data},
    }
    response = send(
        "POST",
        f"{installation.urls[-1]}/webhooks/auth0-logs",
        json=[event],
        headers={"Authorization": installation.log_stream_key},
    )
    _expect(200, response.status_code)


def other_device(installation: Installation, thief: Thief) -> None:
    """The list of devices in another browser of the user."""
    other = installation.another_browser(thief.browser)
    other.sign_in(replica=len(installation.urls) - 1)
    listed = other.fetch("GET", "/auth/sessions").json()["sessions"]
    others = [session["id"] for session in listed if not session["current"]]
    _expect(1, len(others))
    _expect(204, other.fetch("DELETE", f"/auth/sessions/{others[0]}").status_code)


def refresh_refused(installation: Installation, thief: Thief) -> None:
    """The provider refuses the refresh; the access token is in its last fifth."""
    refusal = {"do": "status", "status": 403, "body": {"error": "invalid_grant"}}
    installation.control("POST", "faults", endpoint="token", grant_type="refresh_token", **refusal)
    _expect(401, thief.browser.fetch("GET", "/api/items").status_code)


def signed_in_on_a_short_lived_replica(installation: Installation) -> Thief:
    """A session that times out soon."""
    url = installation.short_lived_replica(IDLE_SECONDS)
    browser = installation.browser()
    browser.urls = [url]
    return signed_in(installation, browser)


def timed_out(installation: Installation, thief: Thief) -> None:
    """Send no request until the idle time has passed."""
    installation.drop_short_lived_replica()
    time.sleep(IDLE_SECONDS)


def _expect(wanted: object, got: object) -> None:
    if got != wanted:
        raise ProofFailed(f"the request that ends the session gave {got}, not {wanted}")
