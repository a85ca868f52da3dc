// The peer express-openid-connect, set up as its documentation recommends: `node express.mjs config.json`.
//
// Sessions in Redis by connect-redis, the access token refreshed when it has expired (its own
// example), the proxy with connections that stay open.

import { readFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { RedisStore } from 'connect-redis';
import express from 'express';
import openid from 'express-openid-connect';
import { createProxyMiddleware } from 'http-proxy-middleware';
import { createClient } from 'redis';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const client = createClient({ url: settings.redis_url });
await client.connect();

const app = express();
app.disable('x-powered-by');
app.use(openid.auth({
  issuerBaseURL: settings.issuer,
  baseURL: settings.base_url,
  clientID: settings.client_id,
  clientSecret: settings.client_secret,
  secret: settings.secret,
  authRequired: false,
  idpLogout: true,
  routes: { callback: '/auth/callback' },
  session: { store: new RedisStore({ client, prefix: 'express:' }) },
  authorizationParams: {
    response_type: 'code', scope: settings.scope, audience: settings.audience, prompt: 'consent',
  },
}));

async function withLiveToken(request, response, next) {
  if (!request.oidc.isAuthenticated()) {
    response.sendStatus(401);
    return;
  }
  const token = request.oidc.accessToken;
  if (token.isExpired()) await token.refresh();
  next();
}

const proxy = createProxyMiddleware({
  target: settings.upstream,
  agent: new Agent({ keepAlive: true }),
  on: {
    proxyReq(onward, request) {
      onward.removeHeader('cookie');
      onward.setHeader('authorization', `Bearer ${request.oidc.accessToken.access_token}`);
    },
  },
});

app.use('/api', withLiveToken, proxy);
app.get('/', (request, response) => response.send('signed in'));
app.use((error, request, response, next) => {
  if (response.headersSent) next(error);
  else response.status(error.status ?? 500).send(String(error.message));
});
app.listen(settings.port, '127.0.0.1', 4096, () => console.log(JSON.stringify({ ready: true })));
process.on('SIGTERM', () => process.exit(0));
