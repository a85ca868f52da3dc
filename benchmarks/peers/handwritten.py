"""What does the usual hand-written BFF look like? As the Auth0 Flask quickstart suggests.

Authlib for the sign-in, Flask-Session in Redis for the tokens, requests for the API. It is started
by gunicorn in its own virtual environment (`peers/requirements.txt`).
"""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.parse import urlencode

import redis
import requests
from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, redirect, request, session
from flask_session import Session
from requests.adapters import HTTPAdapter

BASE_URL = os.environ["PEER_BASE_URL"]
UPSTREAM = os.environ["PEER_UPSTREAM"]
AUDIENCE = os.environ["PEER_AUDIENCE"]
NOT_ONWARD = {"host", "cookie", "authorization", "connection", "content-length"}
NOT_BACK = {"connection", "content-encoding", "content-length", "transfer-encoding", "keep-alive"}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["PEER_SECRET"],
    SESSION_TYPE="redis",
    SESSION_REDIS=redis.Redis.from_url(os.environ["PEER_REDIS_URL"]),
    SESSION_KEY_PREFIX="handwritten:",
    SESSION_COOKIE_HTTPONLY=True,
    SESSION_COOKIE_SAMESITE="Lax",
)
Session(app)
provider = OAuth(app).register(
    "auth0",
    client_id=os.environ["PEER_CLIENT_ID"],
    client_secret=os.environ["PEER_CLIENT_SECRET"],
    client_kwargs={"scope": os.environ["PEER_SCOPE"], "code_challenge_method": "S256"},
    server_metadata_url=f"{os.environ['PEER_ISSUER']}/.well-known/openid-configuration",
)
api = requests.Session()
api.mount("http://", HTTPAdapter(pool_maxsize=64))


@app.get("/login")
def login() -> Any:
    """Redirect to the provider."""
    back = f"{BASE_URL}/auth/callback"
    return provider.authorize_redirect(redirect_uri=back, audience=AUDIENCE, prompt="consent")


@app.get("/auth/callback")
def callback() -> Any:
    """Store the tokens in the session."""
    session["tokens"] = dict(provider.authorize_access_token())
    return redirect("/")


@app.get("/logout")
def logout() -> Any:
    """Delete the session and redirect to the provider."""
    id_token = session.get("tokens", {}).get("id_token", "")
    session.clear()
    leave = {"id_token_hint": id_token, "post_logout_redirect_uri": BASE_URL}
    return redirect(f"{provider.load_server_metadata()['end_session_endpoint']}?{urlencode(leave)}")


@app.route("/api/<path:path>", methods=METHODS)
def proxied(path: str) -> Any:
    """Call the API with the session's access token."""
    if "tokens" not in session:
        return Response("not signed in", 401)
    onward = {n: v for n, v in request.headers.items() if n.lower() not in NOT_ONWARD}
    response = api.request(
        request.method,
        f"{UPSTREAM}/{path}",
        params=list(request.args.items(multi=True)),
        headers=onward | {"Authorization": f"Bearer {access_token()}"},
        data=request.get_data(),
        allow_redirects=False,
        timeout=30,
    )
    back = [(n, v) for n, v in response.headers.items() if n.lower() not in NOT_BACK]
    return Response(response.content, response.status_code, back)


def access_token() -> str:
    """The session's access token, renewed when it has expired."""
    tokens: dict[str, Any] = session["tokens"]
    if tokens["expires_at"] <= time.time():
        renewed = provider.fetch_access_token(
            grant_type="refresh_token", refresh_token=tokens["refresh_token"]
        )
        session["tokens"] = tokens = tokens | dict(renewed)
    return str(tokens["access_token"])
