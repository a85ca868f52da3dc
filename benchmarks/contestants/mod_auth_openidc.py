"""How is mod_auth_openidc set up? In Apache with Redis, from Debian's packages.

As its own `auth_openidc.conf` and wiki recommend: sessions in the server's cache, the cache in
Redis, the access token for the upstream by mod_headers, a 401 for calls without a session.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.browser import NAVIGATION, Browser
from benchmarks.contestants.contestant import Contestant, RunContext
from benchmarks.programs import SERVER_CORE, Missing, Pinned, find
from benchmarks.testbed import AUDIENCE

MODULES = Path("/usr/lib/apache2/modules")
WANTED = (
    "mpm_event", "authn_core", "authz_core", "authz_user", "dir", "headers", "proxy", "proxy_http",
    "auth_openidc",
)  # fmt: skip


class ModAuthOpenIDC(Contestant):
    """Apache's event MPM in front of the upstream."""

    name = "mod_auth_openidc"

    def start(self, context: RunContext) -> None:
        """Start a separate Apache; the system's one isn't changed."""
        if not (MODULES / "mod_auth_openidc.so").is_file():
            raise Missing("libapache2-mod-auth-openidc is not installed.")
        folder = context.testbed.subfolder(self.name)
        (folder / "apache.conf").write_text(self._configuration(context, folder))
        command = [find("apache2"), "-D", "FOREGROUND", "-d", str(folder), "-f", "apache.conf"]
        program = Pinned(self.name, command, core=SERVER_CORE, folder=folder)
        context.testbed.run(program).wait_for_port(self.port)
        self.programs = [program]

    def log_out_here(self, browser: Browser) -> str:
        """Sign out at its own logout address."""
        url = f"{self.callback}?logout={self.base_url}/"
        response = browser.ask("GET", url, NAVIGATION)
        assert response.status in (302, 303), f"{response.status} {response.body[:300]!r}"
        return response.header("location")

    def _configuration(self, context: RunContext, folder: Path) -> str:
        modules = "\n".join(f"LoadModule {m}_module {MODULES}/mod_{m}.so" for m in WANTED)
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        return CONFIGURATION.format_map(
            self.settings(context)
            | {
                "modules": modules,
                "user": user,
                "folder": str(folder),
                "port": str(self.port),
                "callback": self.callback,
                "audience": AUDIENCE,
                "redis": f"127.0.0.1:{context.testbed.redis_port}",
                "refresh_seconds": str(min(60, context.access_token_seconds // 5)),
            }
        )


CONFIGURATION = """
{modules}
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
ListenBacklog 4096
PidFile {folder}/pid
DefaultRuntimeDir {folder}
DocumentRoot {folder}
ErrorLog {folder}/error.log
LogLevel warn
{user}
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
StartServers 4
ThreadsPerChild 64
MaxRequestWorkers 512
MinSpareThreads 64
MaxSpareThreads 512
ThreadLimit 64
AsyncRequestWorkerFactor 4

OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {client_id}
OIDCClientSecret {client_secret}
OIDCCryptoPassphrase {secret}
OIDCRedirectURI {callback}
OIDCScope "{scope}"
OIDCAuthRequestParams prompt=consent&audience={audience}
OIDCPKCEMethod S256
OIDCSessionType server-cache
OIDCSessionInactivityTimeout 86400
OIDCSessionMaxDuration 604800
OIDCCacheType redis
OIDCRedisCacheServer {redis}
OIDCRefreshAccessTokenBeforeExpiry {refresh_seconds}
OIDCPassClaimsAs environment

<Location /auth/>
    AuthType openid-connect
    Require valid-user
</Location>
<Location /login>
    AuthType openid-connect
    Require valid-user
</Location>
<Location /api/>
    AuthType openid-connect
    Require valid-user
    OIDCUnAuthAction 401
    RequestHeader set Authorization "Bearer %{{OIDC_access_token}}e" env=OIDC_access_token
    RequestHeader unset Cookie
    ProxyPass {upstream}/ enablereuse=on
    ProxyPassReverse {upstream}/
</Location>
"""
