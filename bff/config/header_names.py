"""Which headers of a client never reach an upstream?

The gateway drops them, and a route's `request_headers` can't name them. deploy/ has the same list
for the proxies in front that forward requests themselves.
"""

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade", "http2-settings", "proxy-authenticate", "proxy-authorization",
     "proxy-authentication-info"}
)  # fmt: skip
"""Between two neighbours only, in requests and in responses (RFC 9110, 7.6.1 and 11.7)."""

OURS_TO_WRITE = frozenset(
    {"authorization", "cookie", "cookie2", "forwarded", "via", "host", "content-length",
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

NEVER_PASSED = HOP_BY_HOP | OURS_TO_WRITE | OVERRIDES
NEVER_PASSED_PREFIXES = ("x-forwarded-", "x-auth-request-")
"""Nor does any header whose name begins so."""
