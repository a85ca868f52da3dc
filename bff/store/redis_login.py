"""Which user and password has a new connection to Redis, if they may change?

With `REDIS_URL_FILE`, those that the file has now. Connections that are open stay: Redis asks for a
password at the beginning only.
"""

from __future__ import annotations

import logging
from urllib.parse import unquote, urlsplit

from redis.credentials import CredentialProvider

from bff.config import Config

log = logging.getLogger("bff.settings")


class RedisLogin(CredentialProvider):
    """Asked by redis-py for each connection.

    Args:
        config: Has the URL as it is now.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._told = ""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """User and password, or the password alone."""
        now = self._config.redis_url_now
        if _place(now) != _place(self._config.redis_url.get_secret_value()) and now != self._told:
            self._told = now
            log.warning("REDIS_URL_FILE: only user and password count without a restart")
        user, _, password = urlsplit(now).netloc.rpartition("@")[0].partition(":")
        return (unquote(user), unquote(password)) if user else (unquote(password),)


def changing_login(config: Config) -> RedisLogin | None:
    """None if it can't change, or if there is none."""
    has_login = "@" in urlsplit(config.redis_url.get_secret_value()).netloc
    return RedisLogin(config) if has_login and "REDIS_URL" in config.live_secrets.files else None


def without_login(url: str) -> str:
    """*url* without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=_place(url)).geturl()


def _place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
