// An Express API that asks the BFF about every access token (RFC 7662). Needs Node 20 or later and
// nothing else: middleware for Express 4 and 5, and for anything else with (req, res, next).
//
//     const requireToken = tokenGuard({
//       url: "https://app.example.com/auth/introspect",
//       clientId: "orders-api",                    // BFF_INTROSPECTION_CLIENTS=orders-api:<secret>
//       clientSecret: process.env.INTROSPECTION_SECRET,
//     });
//     app.get("/items", requireToken("read:items"), (req, res) => res.json({ of: req.token.sub }));

const TOKEN = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

export function tokenGuard({ url, clientId, clientSecret, timeoutMs = 5000 }) {
  const encoded = [clientId, clientSecret].map(encodeURIComponent).join(":");
  const authorization = `Basic ${Buffer.from(encoded).toString("base64")}`;

  async function introspect(token) {
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization, accept: "application/json" },
      body: new URLSearchParams({ token }),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) throw new Error(`introspection returned ${response.status}`);
    return response.json();
  }

  return (...scopes) => async (req, res, next) => {
    const token = TOKEN.exec(req.headers.authorization ?? "")?.[1];
    if (!token) return refuse(res, 401, "Bearer");
    let introspected;
    try {
      introspected = await introspect(token);
    } catch (error) {
      // A token that can't be checked is not accepted, and is no reason to sign the user out.
      console.error(error.message);
      return refuse(res, 503);
    }
    // One that is bound to a key (DPoP, RFC 9449) is active, but as Bearer a copy of it would do.
    if (introspected.active !== true || introspected.cnf?.jkt !== undefined) {
      return refuse(res, 401, 'Bearer error="invalid_token"');
    }
    const granted = new Set((introspected.scope ?? "").split(" "));
    if (!scopes.every((scope) => granted.has(scope))) {
      return refuse(res, 403, `Bearer error="insufficient_scope", scope="${scopes.join(" ")}"`);
    }
    req.token = introspected;
    next();
  };
}

function refuse(res, status, challenge) {
  res.statusCode = status;
  res.setHeader("Cache-Control", "no-store");
  if (challenge) res.setHeader("WWW-Authenticate", challenge);
  if (status === 503) res.setHeader("Retry-After", "2");
  res.end();
}
