// The provider of the benchmark, the certified oidc-provider: `node provider.mjs config.json`.
//
// It behaves as an Auth0 tenant does where that matters here: one form to sign in, claims in the ID
// token, JWT access tokens for one API, refresh tokens that rotate, and a grant that ends when a
// refresh token is used twice. It prints one line of JSON when it is ready. Below /_control/ it
// lists the refresh tokens, counts requests, and can make its revocation endpoint fail.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

// oidc-provider requires Node 22; this is all that it lacks on Node 20.
URL.parse ??= (...parts) => (URL.canParse(...parts) ? new URL(...parts) : null);
const { default: Provider } = await import('oidc-provider');

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const refreshTokens = new Map();
let counts = {};
let revocationIsDown = false;

/** Stores everything; oidc-provider's own adapter drops all but the last thousand. */
class Memory {
  static records = new Map();
  static byUid = new Map();
  static byGrant = new Map();

  constructor(name) { this.name = name; }

  key(id) { return `${this.name}:${id}`; }

  async upsert(id, payload) {
    const key = this.key(id);
    Memory.records.set(key, payload);
    if (payload.uid) Memory.byUid.set(payload.uid, id);
    if (payload.grantId) {
      const keys = Memory.byGrant.get(payload.grantId) ?? new Set();
      Memory.byGrant.set(payload.grantId, keys.add(key));
    }
  }

  async find(id) { return Memory.records.get(this.key(id)); }

  async findByUid(uid) { return this.find(Memory.byUid.get(uid)); }

  async consume(id) { (await this.find(id)).consumed = Math.floor(Date.now() / 1000); }

  async destroy(id) { Memory.records.delete(this.key(id)); }

  async revokeByGrantId(grantId) {
    for (const key of Memory.byGrant.get(grantId) ?? []) Memory.records.delete(key);
    Memory.byGrant.delete(grantId);
  }
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: 'benchmark', use: 'sig', alg: 'RS256' };
}

const configuration = {
  adapter: Memory,
  clients: settings.clients,
  jwks: { keys: [signingKey()] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  pkce: { required: () => false },
  rotateRefreshToken: true,
  conformIdTokenClaims: false,
  extraParams: ['audience'],
  scopes: ['openid', 'offline_access'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  clientAuthMethods: ['client_secret_post', 'client_secret_basic'],
  ttl: { Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 86400 },
  interactions: { url: (ctx, interaction) => `/sign-in/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    userinfo: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => settings.audience,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, audience) => ({
        audience,
        scope: '',
        accessTokenFormat: 'jwt',
        accessTokenTTL: settings.access_token_seconds,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
    revocation: { enabled: true, allowedPolicy: (ctx, client, token) => token.clientId === client.clientId },
    rpInitiatedLogout: { enabled: true },
  },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: 'Demo Person', email: `${id}@example.com`, email_verified: true }),
  }),
};

// ------------------------------------------------------------ the one page
const FORM = '<!doctype html><form method="post"><input name="login"><button>Sign in</button></form>';

async function bodyOf(request) {
  let text = '';
  for await (const part of request) text += part;
  return new URLSearchParams(text);
}

/** Signs in any user without a password, and grants the client what it requests. */
async function signIn(request, response) {
  if (request.method === 'GET') {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end(FORM);
    return;
  }
  const accountId = (await bodyOf(request)).get('login');
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { login: { accountId }, consent });
}

// ------------------------------------------------------------ for the benchmark
async function control(path) {
  if (path === 'revocation-down') revocationIsDown = true;
  if (path === 'revocation-up') revocationIsDown = false;
  if (path === 'counts') {
    const since = counts;
    counts = {};
    return since;
  }
  if (path !== 'refresh-tokens') return null;
  return Promise.all([...refreshTokens].map(async ([token, about]) => {
    const found = await provider.RefreshToken.find(token);
    return { ...about, alive: Boolean(found && !found.consumed) };
  }));
}

async function answer(request, response) {
  const path = request.url.split('?')[0];
  if (path.startsWith('/_control/')) {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(await control(path.slice('/_control/'.length))));
  } else if (path.startsWith('/sign-in/')) {
    await signIn(request, response);
  } else if (revocationIsDown && path === '/token/revocation') {
    response.writeHead(503).end();
  } else {
    await callback(request, response);
  }
}

const server = createServer();
server.keepAliveTimeout = 60_000;
await new Promise((resolve) => { server.listen(0, '127.0.0.1', 4096, resolve); });
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, configuration);

provider.on('refresh_token.saved', ({ jti, clientId, accountId }) => {
  refreshTokens.set(jti, { client_id: clientId, account: accountId });
});
provider.on('server_error', (ctx, error) => console.error(error));
provider.use(async (ctx, next) => {
  await next();
  const { route, params } = ctx.oidc ?? {};
  const name = [route, ...(route === 'token' ? [params?.grant_type] : []), ctx.status].join('.');
  counts[name] = (counts[name] ?? 0) + 1;
});
const callback = provider.callback();
server.on('request', (request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
process.on('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ ready: true, issuer }));
