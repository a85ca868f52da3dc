"""What does a hostile page try with the cookie of a user who is signed in to the app?

Each attack is a script that runs in the hostile page; `app` is the origin under attack. The script
returns what it could read, which must be nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """A script, and the path that it attacks."""

    path: str
    script: str
    """The body of an async function with the parameters `app` and `loaded`."""
    with_cookie: bool = True
    """Whether browsers send a cookie with it, if the relation of the sites allows one."""


LOADED = """(element, attributes) => new Promise((done) => {
    Object.assign(element, attributes);
    element.onload = () => done("");
    element.onerror = () => done("");
    document.body.append(element);
})"""


def fetched(path: str, options: str) -> Attack:
    """A fetch with credentials that returns what it can read."""
    return Attack(
        path,
        f"""try {{
            const response = await fetch(app + "{path}", {{credentials: "include", {options}}});
            return response.type === "opaque" ? "" : response.status + await response.text();
        }} catch {{ return ""; }}""",
    )


def loaded(path: str, tag: str, attributes: str) -> Attack:
    """An element that loads something."""
    script = f"""return loaded(document.createElement("{tag}"), {{{attributes}}});"""
    return Attack(path, script.replace("APP", "app + "))


ATTACKS: dict[str, Attack] = {
    "fetch-logout": fetched("/auth/logout", "method: 'POST', mode: 'no-cors'"),
    "fetch-logout-with-token": fetched(
        "/auth/logout",
        "method: 'POST', mode: 'no-cors', body: new URLSearchParams({form_token: 'x'})",
    ),
    "fetch-logout-keepalive": fetched(
        "/auth/logout", "method: 'POST', mode: 'no-cors', keepalive: true"
    ),
    "fetch-cors-profile": fetched("/auth/profile", ""),
    "fetch-cors-slide": fetched("/auth/profile?slide=true", ""),
    "fetch-cors-api": fetched("/api/items", ""),
    "fetch-no-cors-api": fetched("/api/items", "mode: 'no-cors'"),
    "fetch-no-cors-write": fetched(
        "/api/items", """method: "POST", mode: "no-cors", body: '{"title": "planted"}'"""
    ),
    "fetch-devices": fetched("/auth/sessions", ""),
    "beacon": Attack("/auth/logout", "navigator.sendBeacon(app + '/auth/logout', 'x'); return '';"),
    "image": loaded("/api/items", "img", "src: APP'/api/items'"),
    "script": loaded("/auth/profile", "script", "src: APP'/auth/profile'"),
    "module": loaded(
        "/auth/profile",
        "script",
        "type: 'module', crossOrigin: 'use-credentials', src: APP'/auth/profile'",
    ),
    "style": loaded("/api/items", "link", "rel: 'stylesheet', href: APP'/api/items'"),
    "prefetch": loaded("/api/items", "link", "rel: 'prefetch', href: APP'/api/items'"),
    "iframe": loaded("/api/items", "iframe", "src: APP'/api/items'"),
    "iframe-profile": loaded("/auth/profile", "iframe", "src: APP'/auth/profile'"),
    "object": loaded("/api/items", "object", "data: APP'/api/items'"),
    "video": loaded("/api/items", "video", "src: APP'/api/items'"),
    "event-source": Attack(
        "/api/events",
        """return new Promise((done) => {
            const source = new EventSource(app + "/api/events", {withCredentials: true});
            source.onmessage = (event) => done(event.data);
            source.onopen = () => done("open");
            source.onerror = () => { source.close(); done(""); };
        });""",
    ),
    "web-socket": Attack(
        "/api/socket",
        """return new Promise((done) => {
            const socket = new WebSocket(app.replace("http", "ws") + "/api/socket");
            socket.onopen = () => done("open");
            socket.onerror = () => done("");
        });""",
    ),
    "form-in-frame": Attack(
        "/auth/logout",
        """return new Promise((done) => {
            const frame = Object.assign(document.createElement("iframe"), {name: "hidden"});
            document.body.append(frame);
            const action = app + "/auth/logout";
            const form = Object.assign(document.createElement("form"),
                {method: "post", target: "hidden", action});
            document.body.append(form);
            frame.onload = () => done("");
            form.submit();
        });""",
    ),
}

PREFLIGHTED: dict[str, Attack] = {
    "csrf-header": fetched("/auth/logout", "method: 'POST', headers: {'X-CSRF': '1'}"),
    "csrf-header-api": fetched("/api/items", "headers: {'X-CSRF': '1'}"),
    "delete-api": fetched("/api/items/1", "method: 'DELETE'"),
    "delete-device": fetched("/auth/sessions/x", "method: 'DELETE'"),
    "json-write": fetched(
        "/api/items",
        "method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'",
    ),
}
"""The browser sends a CORS preflight first, and no response may permit the request."""
