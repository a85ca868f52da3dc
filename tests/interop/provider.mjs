// A certified OpenID provider, as the tests of the BFF need it: `node provider.mjs config.json`.
//
// It prints one line of JSON when it is ready. Below /_control/ (with the key of that line) it says
// what it was asked and what was pushed, changes a person's claims, says which refresh tokens it has issued and whether they live, and which
// logout tokens it has sent and how they were answered. Everything else is oidc-provider's own behaviour.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import * as mtls from './mtls.mjs';

// oidc-provider asks for Node 22; this is all that it misses on Node 20.
URL.parse ??= (...parts) => (URL.canParse(...parts) ? new URL(...parts) : null);
const { default: Provider } = await import('oidc-provider');
const { createLocalJWKSet, jwtVerify } = await import('jose');

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const controlKey = randomBytes(16).toString('hex');
const counts = {};
const refreshTokens = new Map();
const logoutTokens = [];
const pushed = [];
const people = new Map();

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: 'interop', use: 'sig', alg: 'RS256' };
}

const jwks = { keys: [signingKey()] };

const resourceIndicators = {
  enabled: true,
  // Auth0 calls it `audience`; the BFF sends that name.
  defaultResource: (ctx, client, oneOf) => oneOf?.[0] ?? ctx.oidc.params.audience,
  useGrantedResource: () => true,
  getResourceServerInfo: (ctx, resource) => ({
    audience: resource,
    scope: settings.api_scopes?.[resource] ?? '',
    accessTokenFormat: 'jwt',
    accessTokenTTL: settings.access_token_seconds,
    jwt: { sign: { alg: 'RS256' } },
  }),
};

const configuration = {
  clients: settings.clients,
  jwks,
  cookies: { keys: [randomBytes(16).toString('hex')] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  extraParams: ['audience'],
  scopes: ['openid', 'offline_access'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  clientAuthMethods: ['client_secret_post', 'client_secret_basic', 'private_key_jwt'],
  ttl: { AccessToken: 300, Grant: 86400, IdToken: 300, RefreshToken: 86400, Session: 86400, Interaction: 600 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    dPoP: {
      enabled: settings.dpop ?? true,
      nonceSecret: settings.dpop_nonces ? randomBytes(32) : undefined,
      requireNonce: () => Boolean(settings.dpop_nonces),
    },
    resourceIndicators,
    revocation: { enabled: true, allowedPolicy: (ctx, client, token) => token.clientId === client.clientId },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
  },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: 'Demo Person', email: id, email_verified: true, ...people.get(id) }),
  }),
  // Logout tokens go to the loopback here, which oidc-provider refuses by its dispatcher.
  fetch: async (url, { dispatcher, ...options }) => {
    const answer = await fetch(url, options);
    const token = options.body?.get?.('logout_token');
    if (token) {
      const [header, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url'));
      logoutTokens.push({ ...JSON.parse(claims), typ: JSON.parse(header).typ, status: answer.status });
    }
    return answer;
  },
};

async function control(path) {
  if (path === 'counts') return counts;
  if (path === 'logout-tokens') return logoutTokens;
  if (path === 'pushed') return pushed;
  if (path === 'refresh-tokens') {
    return Promise.all([...refreshTokens].map(async ([token, more]) => {
      const found = await provider.RefreshToken.find(token);
      return { token, ...more, alive: Boolean(found && !found.consumed) };
    }));
  }
  return null;
}

async function changePerson(request) {
  let body = '';
  for await (const part of request) body += part;
  const { id, ...claims } = JSON.parse(body);
  people.set(id, claims);
  return claims;
}

async function answerControl(request, response) {
  const path = request.url.slice('/_control/'.length);
  const ask = () => (request.method === 'POST' && path === 'people' ? changePerson(request) : control(path));
  const found = request.headers['x-control-key'] === controlKey ? await ask() : null;
  response.writeHead(found ? 200 : 404, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(found));
}

const server = createServer();
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const issuer = `http://127.0.0.1:${server.address().port}`;
const tls = settings.mtls ? await mtls.listen(settings.mtls) : null;
if (tls) {
  configuration.clientAuthMethods.push(...mtls.METHODS);
  configuration.features.mTLS = mtls.feature;
  configuration.discovery = { mtls_endpoint_aliases: tls.aliases };
}
const provider = new Provider(issuer, configuration);

// Token exchange (RFC 8693) is no part of oidc-provider; this is as much of it as the tests need.
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  const refuse = (error) => { ctx.status = 400; ctx.body = { error }; };
  if (params.subject_token_type !== ACCESS_TOKEN) return refuse('invalid_request');
  const { kty, n, e, kid, alg } = jwks.keys[0];
  const keys = createLocalJWKSet({ keys: [{ kty, n, e, kid, alg }] });
  const subject = await jwtVerify(params.subject_token, keys, { issuer }).catch(() => null);
  if (!subject) return refuse('invalid_request');
  const allowed = settings.api_scopes?.[params.resource];
  if (allowed === undefined) return refuse('invalid_target');
  const scope = (params.scope ?? allowed).split(' ').filter((one) => allowed.split(' ').includes(one)).join(' ');
  const token = new provider.AccessToken({
    accountId: subject.payload.sub, client, gty: 'token_exchange', scope,
  });
  const server = resourceIndicators.getResourceServerInfo(ctx, params.resource);
  token.resourceServer = new provider.ResourceServer(params.resource, server);
  ctx.body = {
    access_token: await token.save(), issued_token_type: ACCESS_TOKEN, token_type: 'Bearer',
    expires_in: token.expiration, scope,
  };
}

provider.registerGrantType(TOKEN_EXCHANGE, exchange, [
  'subject_token', 'subject_token_type', 'requested_token_type', 'resource', 'scope',
]);

if (settings.omit_auth_time) {
  // As at providers that never send it; everything else is done as before.
  const { payload } = provider.IdToken.prototype;
  provider.IdToken.prototype.payload = async function withoutAuthTime() {
    const { auth_time, ...claims } = await payload.call(this);
    return claims;
  };
}

const count = (name) => { counts[name] = (counts[name] ?? 0) + 1; };
provider.on('refresh_token.saved', ({ jti, clientId, grantId }) => {
  refreshTokens.set(jti, { client_id: clientId, grant_id: grantId });
});
provider.on('pushed_authorization_request.success', ({ oidc }) => {
  const { client_secret, client_assertion, ...asked } = oidc.body;
  pushed.push(asked);
});
provider.on('grant.revoked', () => count('grant.revoked'));
provider.on('server_error', (ctx, error) => console.error(error));
provider.use(async (ctx, next) => {
  await next();
  const { route, params } = ctx.oidc ?? {};
  if (route) count([route, ...(route === 'token' ? [params?.grant_type] : []), ctx.status].join('.'));
});

const callback = provider.callback();
server.on('request', (request, response) => (
  request.url.startsWith('/_control/') ? answerControl(request, response) : callback(request, response)
));
tls?.server.on('request', callback);
process.on('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ ready: true, issuer, control_key: controlKey }));
