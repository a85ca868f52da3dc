"""A Flask API that refuses access tokens revoked by a logout: one import and one decorator.

ISSUER=… AUDIENCE=… REDIS_URL=… DENY_LIST_KEY=$(bff deny-list-key) flask --app api run
"""

import os

from flask import Flask

from bff.resource_server import TokenGuard

guard = TokenGuard(
    issuer=os.environ["ISSUER"],
    audience=os.environ["AUDIENCE"],
    redis_url=os.environ["REDIS_URL"],
    redis_prefix=os.environ.get("REDIS_PREFIX", "bff"),
    deny_key=os.environ["DENY_LIST_KEY"],
)
app = Flask(__name__)


@app.get("/items")
@guard.required()
def items() -> dict[str, str]:
    """For callers with an active token."""
    return {"of": guard.claims["sub"]}


@app.post("/items")
@guard.required(scope="write:items")
def add_item() -> tuple[str, int]:
    """For callers whose token also has the scope."""
    return "", 201
