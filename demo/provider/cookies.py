"""The provider's session cookie, and the cross-site check of its forms."""

from flask import Response, request

SSO_COOKIE = "demo_provider_sso"


def sso_cookie() -> str | None:
    """The cookie of the current request."""
    return request.cookies.get(SSO_COOKIE)


def set_sso_cookie(response: Response, value: str, seconds: int) -> None:
    response.set_cookie(SSO_COOKIE, value, max_age=seconds, httponly=True, samesite="Lax", path="/")


def clear_sso_cookie(response: Response) -> None:
    response.delete_cookie(SSO_COOKIE, httponly=True, samesite="Lax", path="/")


def form_from_another_site() -> bool:
    """Whether one of our forms was posted by another site (login CSRF), by Fetch Metadata."""
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
