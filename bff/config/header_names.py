"""Which headers of a client never reach an upstream?

The gateway drops them, and a route's `request_headers` can name only those of `is_claim`. deploy/
has the same list for the proxies in front that forward requests themselves.
"""

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade", "http2-settings", "proxy-authenticate", "proxy-authorization",
     "proxy-authentication-info"}
)  # fmt: skip
"""Between two neighbours only, in requests and in responses (RFC 9110, 7.6.1 and 11.7)."""

OURS_TO_WRITE = frozenset(
    {"authorization", "dpop", "cookie", "cookie2", "forwarded", "via", "host", "content-length",
     "content-type", "expect", "x-request-id", "x-csrf", "x-bff-session", "x-real-ip",
     "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip",
     "x-original-for", "x-original-host", "x-original-proto", "x-host", "proxy", "remote-user",
     "x-remote-user"}
)  # fmt: skip
"""What no client may claim: who it is, where its request goes, and how it came here."""

OVERRIDES = frozenset(
    {"x-http-method", "x-http-method-override", "x-method-override", "x-original-url",
     "x-rewrite-url", "x-original-uri"}
)  # fmt: skip
"""Some frameworks take the method or path from these headers instead of the request line."""

DEVICE_PROOFS = frozenset(
    {"secure-session-response", "secure-session-skipped", "sec-secure-session-id"}
)
"""By these, a browser binds its session here to a key (`bff/access/device_binding.py`)."""

NEVER_PASSED = HOP_BY_HOP | OURS_TO_WRITE | OVERRIDES | DEVICE_PROOFS
NEVER_PASSED_PREFIXES = ("x-forwarded-", "x-auth-request-", "secure-session-")
"""Nor does any header whose name begins so."""

CLAIMS = frozenset(
    {"x-forwarded", "forwarded-for", "client-ip", "x-original-forwarded-for", "x-original-method",
     "cf-connecting-ipv6", "fly-client-ip", "do-connecting-ip", "x-azure-clientip",
     "x-azure-socketip", "x-appengine-user-ip", "x-proxyuser-ip", "client-cert",
     "client-cert-chain", "x-client-cert", "x-arr-clientcert", "remote-groups", "remote-email",
     "remote-name", "x-auth-username", "x-auth-userid", "x-auth-subject", "x-auth-email",
     "x-auth-roles", "x-auth-groups", "cf-access-authenticated-user-email",
     "x-amzn-oidc-identity"}
)  # fmt: skip
"""By these, proxies and gateways tell an API of the client's address, certificate (RFC 9440) and
user. An API may believe them, as behind the gateway that it had before us."""

CLAIM_PREFIXES = (
    "x-ssl-", "ssl-client-", "x-envoy-", "oidc-claim-", "x-authentik-", "x-pomerium-claim-",
    "x-vouch-", "x-webauth-", "x-goog-authenticated-user-", "x-ms-client-principal",
    "tailscale-user-",
)  # fmt: skip
"""So does any header whose name begins so."""


def is_claim(name: str) -> bool:
    """Whether *name* passes only if a route names it, whose proxy in front must write it."""
    return name in CLAIMS or name.startswith(CLAIM_PREFIXES)
