"""Which scenarios are there, and in which order do they run?

Every scenario begins with a sign-in whose credentials are copied, and ends with trying all of them
again. Those whose access token has to age are prepared before all others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import requests

from demo.child import ChildFailed
from demo.prove import after_end, ageing, conditions, endings, second_sign_in
from demo.prove.installation import Installation
from demo.prove.rows import ProofFailed, Section, Table
from demo.prove.thief import Thief, signed_in

Prepare = Callable[[Installation], Thief]
Run = Callable[[Installation, Section, Thief], None]
WITHIN_A_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to end a session, or one condition under which it ends."""

    id: str
    title: str
    run: Run
    prepare: Prepare = signed_in
    ages: bool = False
    """Its session has to begin long before."""


def ended_by(end: Callable[[Installation, Thief], None]) -> Run:
    """Return a scenario that consists of the end alone."""

    def run(installation: Installation, section: Section, thief: Thief) -> None:
        end(installation, thief)
        section.ended_now()
        thief.try_everything(section)

    return run


def timed_out(installation: Installation, section: Section, thief: Thief) -> None:
    """No request triggers this end, so the tokens may be valid for another minute."""
    endings.timed_out(installation, thief)
    section.ended_now()
    thief.try_cookie(section)
    thief.try_access_token(section, within_seconds=WITHIN_A_MINUTE)
    thief.try_refresh_token(section, within_seconds=WITHIN_A_MINUTE)


SCENARIOS = (
    Scenario("spa", "Signed out by the SPA", ended_by(endings.spa)),
    Scenario("link", "Signed out by a link", ended_by(endings.link)),
    Scenario("form", "Signed out by the confirmation page", ended_by(endings.form)),
    Scenario(
        "second-by-link", "After a sign-in by a link of another site",
        ended_by(second_sign_in.by_link),
    ),
    Scenario(
        "second-at-once", "After two sign-ins at once", ended_by(second_sign_in.at_once)
    ),
    Scenario(
        "restored-tabs", "After ten restored tabs", ended_by(second_sign_in.restored_tabs)
    ),
    Scenario("other-device", "Signed out on another device", ended_by(endings.other_device)),
    Scenario(
        "backchannel-sid", "Back-channel logout of one session", ended_by(endings.backchannel_sid)
    ),
    Scenario("backchannel-sub", "Back-channel logout of a user", ended_by(endings.backchannel_sub)),
    Scenario("admin-one", "Ended by an administrator: one session", ended_by(endings.admin_one)),
    Scenario("admin-user", "Ended by an administrator: a user", ended_by(endings.admin)),
    Scenario("global", "Global Token Revocation", ended_by(endings.global_token_revocation)),
    Scenario(
        "log-logout", "Auth0 log stream: logged out there", ended_by(endings.log_stream_logout)
    ),
    Scenario(
        "log-password", "Auth0 log stream: password changed", ended_by(endings.log_stream_password)
    ),
    Scenario("timed-out", "Timed out", timed_out, endings.signed_in_on_a_short_lived_replica),
    Scenario("old-sign-in", "After all sessions of a user ended", after_end.old_sign_ins),
    Scenario("in-flight", "With a request in flight", conditions.request_in_flight),
    Scenario("stream", "With an event stream open", conditions.stream_open),
    Scenario(
        "refresh-refused", "The provider refuses the refresh",
        ended_by(endings.refresh_refused), ages=True,
    ),
    Scenario(
        "replaced", "Signed out a moment after a refresh", ageing.replaced_token, ages=True
    ),
    Scenario(
        "refresh", "With a refresh in flight",
        conditions.refresh_in_flight, conditions.signed_in_with_a_short_token,
    ),
    Scenario("provider-down", "With the provider down", conditions.provider_down),
    Scenario("provider-503", "With the provider failing", conditions.provider_failing),
    Scenario("redis-away", "With Redis down during the logout", conditions.redis_away),
    Scenario("redis-restarted", "With Redis restarted after it", conditions.redis_restarted),
    Scenario("killed", "With the process killed in the middle", conditions.process_killed),
    Scenario("everyone", "Ended by an administrator: everyone", ended_by(endings.admin_everyone)),
)  # fmt: skip
"""The last one ends all sessions, so it comes last."""

IDS = tuple(scenario.id for scenario in SCENARIOS)


def run_some(installation: Installation, table: Table, only: Collection[str]) -> None:
    """Run the scenarios with these ids; one that can't run is a broken row."""
    chosen = [scenario for scenario in SCENARIOS if scenario.id in only]
    early = {s.id: ageing.Ageing(installation).due for s in chosen if s.ages}
    for scenario in chosen:
        section = Section(table, scenario.id, scenario.title)
        try:
            thief = early.get(scenario.id, scenario.prepare)(installation)
            scenario.run(installation, section, thief)
        except (ProofFailed, ChildFailed, requests.RequestException) as error:
            section.failed(error)
