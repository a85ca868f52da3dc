// An API that takes an access token with a proof only (RFC 9449), checked by jose: `node dpop_api.mjs config.json`.
//
// It prints one line of JSON when it is ready, and answers each request with what it found: who sent it, the key, and
// the nonce. With `nonces` it demands one, and changes it with every second answer.

import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

// jose asks for Node 22; this is all that it misses on Node 20.
URL.parse ??= (...parts) => (URL.canParse(...parts) ? new URL(...parts) : null);
const { calculateJwkThumbprint, createRemoteJWKSet, EmbeddedJWK, jwtVerify } = await import('jose');

const { issuer, audience, nonces } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
const used = new Set();
let nonce = randomBytes(12).toString('base64url');
let answers = 0;

class Refused extends Error {
  constructor(error, description) {
    super(description);
    this.error = error;
  }
}

function single(request, name) {
  const found = request.headersDistinct[name] ?? [];
  if (found.length !== 1) throw new Refused('invalid_dpop_proof', `${found.length} ${name}`);
  return found[0];
}

async function checked(request, self) {
  const [scheme, token, ...more] = single(request, 'authorization').split(' ');
  if (scheme !== 'DPoP' || more.length) throw new Refused('invalid_token', 'another scheme');
  const { payload, protectedHeader } = await jwtVerify(single(request, 'dpop'), EmbeddedJWK, {
    algorithms: ['ES256'], typ: 'dpop+jwt', maxTokenAge: '60s', clockTolerance: '5s', requiredClaims: ['jti', 'htm', 'htu', 'ath'],
  });
  if (payload.htm !== request.method) throw new Refused('invalid_dpop_proof', 'htm');
  if (payload.htu !== self + request.url.split('?')[0]) throw new Refused('invalid_dpop_proof', `htu ${payload.htu}`);
  if (payload.ath !== createHash('sha256').update(token).digest('base64url')) throw new Refused('invalid_dpop_proof', 'ath');
  if (used.has(payload.jti)) throw new Refused('invalid_dpop_proof', 'replayed');
  used.add(payload.jti);
  const access = await jwtVerify(token, keys, { issuer, audience });
  const jkt = await calculateJwkThumbprint(protectedHeader.jwk);
  if (access.payload.cnf?.jkt !== jkt) throw new Refused('invalid_token', 'bound to another key');
  if (nonces && payload.nonce !== nonce) throw new Refused('use_dpop_nonce', 'no nonce, or an old one');
  return { sub: access.payload.sub, jkt, nonce: payload.nonce ?? null, method: request.method };
}

const server = createServer(async (request, response) => {
  const self = `http://127.0.0.1:${server.address().port}`;
  let [status, found] = [200, null];
  try {
    found = await checked(request, self);
  } catch (error) {
    [status, found] = [401, { error: error.error ?? 'invalid_token', why: error.message }];
    response.setHeader('WWW-Authenticate', `DPoP error="${found.error}", algs="ES256"`);
  }
  if (nonces) {
    answers += 1;
    if (answers % 2 === 0) nonce = randomBytes(12).toString('base64url');
    response.setHeader('DPoP-Nonce', nonce);
  }
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(found));
});

server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ ready: true, port: server.address().port })));
process.on('SIGTERM', () => process.exit(0));
