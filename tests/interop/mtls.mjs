// How does oidc-provider authenticate clients by their TLS certificate? A second server, with TLS,
// to which mtls_endpoint_aliases lead (RFC 8705); the first one stays as it is, for browsers.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

export const METHODS = ['tls_client_auth', 'self_signed_tls_client_auth'];

const certificateOf = (ctx) => {
  const { raw } = ctx.req.socket.getPeerCertificate?.() ?? {};
  return raw ? new X509Certificate(raw) : undefined;
};

export const feature = {
  enabled: true,
  tlsClientAuth: true,
  selfSignedTlsClientAuth: true,
  getCertificate: (ctx) => certificateOf(ctx)?.toString(),
  certificateAuthorized: (ctx) => ctx.req.socket.authorized,
  certificateSubjectMatches: (ctx, property, expected) => (
    property === 'tls_client_auth_san_dns'
    && (certificateOf(ctx).subjectAltName ?? '').split(', ').includes(`DNS:${expected}`)
  ),
};

// Listens with the files of `settings`; `handler` is given later. Returns it with its aliases.
export async function listen({ certificate, key, client_ca: clientCA }) {
  const read = (file) => readFileSync(file);
  const server = createServer({
    cert: read(certificate), key: read(key), ca: read(clientCA), requestCert: true, rejectUnauthorized: false,
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const url = `https://localhost:${server.address().port}`;
  return {
    server,
    aliases: {
      token_endpoint: `${url}/token`,
      revocation_endpoint: `${url}/token/revocation`,
      pushed_authorization_request_endpoint: `${url}/request`,
    },
  };
}
