"""Promise 7: a stolen Redis dump is worth nothing."""

from __future__ import annotations

import base64
import hashlib
import json

from tests.support.ageing import age_access_token, session_key
from tests.support.cluster import Cluster

PERSON = ["Dana Demo", "Dana", "demo@example.com", "auth0|demo"]


def everything_in_redis(cluster: Cluster) -> bytes:
    """Every key and every value, as one string of bytes."""
    store, services = cluster.store(), []
    for name in store.scan_iter(f"{cluster.prefix}:*", count=1000):
        kind = store.type(name)
        services.append(name)
        if kind == b"hash":
            services += [piece for pair in store.hgetall(name).items() for piece in pair]
        elif kind == b"zset":
            services += store.zrange(name, 0, -1)
        else:
            services.append(store.get(name) or b"")
    return b"\n".join(services)


def disguises(secret: str) -> list[bytes]:
    """The secret itself, hashed without a key, and encoded."""
    raw = secret.encode()
    hashes = [hashlib.new(name, raw) for name in ("md5", "sha1", "sha256", "sha512")]
    found = [raw, raw.hex().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(raw)]
    for one in hashes:
        digest = one.digest()
        found += [digest, one.hexdigest().encode(), base64.b64encode(digest).rstrip(b"=")]
        found.append(base64.urlsafe_b64encode(digest).rstrip(b"="))
    return found


def test_promise_7_a_dump_holds_no_token_no_cookie_and_no_person() -> None:
    with Cluster(env={"BFF_SESSION_IDLE_SECONDS": "3600"}) as cluster:
        browser, gone = cluster.browser(), cluster.browser()
        browser.log_in()
        gone.log_in()
        age_access_token(cluster, browser.cookie, 0)
        assert browser.api("/items").status_code == 200
        # End one session with the provider down: tombstone, outbox and deny-list have entries.
        cluster.control("POST", "faults", endpoint="revoke", times=9, do="status", status=503)
        assert gone.log_out().status_code == 200
        dump = everything_in_redis(cluster)
        assert b":tombstone:" in dump
        assert b":deny:" in dump
        assert len(cluster.keys("{outbox}:entry")) == 1

        secrets = [token["value"] for token in cluster.control("GET", "tokens")]
        secrets += [part for value in secrets for part in value.split(".") if len(part) > 20]
        secrets += PERSON
        secrets += [json.dumps(name)[1:-1] for name in PERSON]
        for secret in secrets:
            for disguise in disguises(secret):
                assert disguise not in dump, f"{secret[:12]}… is in the dump"

        # The session id of the cookie appears only as SHA-256, in the key of the record.
        cookie, own_key = browser.cookie or "", session_key(browser.cookie).encode()
        for disguise in disguises(cookie):
            if disguise != own_key:
                assert disguise not in dump
        assert own_key in dump


def test_promise_7_a_key_of_the_dump_is_no_cookie() -> None:
    with Cluster() as cluster:
        browser, thief = cluster.browser(), cluster.browser()
        browser.log_in()
        thief.here.cookies.set("session", session_key(browser.cookie))
        assert thief.profile().status_code == 401
