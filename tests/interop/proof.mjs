// A DPoP proof by `jose`: reads an access token's claims from the environment, prints token and proof.
import { createHash, randomUUID } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from "jose";

const { ALG, ISSUER, AUDIENCE, METHOD, URL: htu } = process.env;
const now = Math.floor(Date.now() / 1000);

const issuer = await generateKeyPair("RS256");
const listed = { ...(await exportJWK(issuer.publicKey)), kid: "k1", use: "sig" };
const client = await generateKeyPair(ALG);
const jwk = await exportJWK(client.publicKey);

const token = await new SignJWT({ scope: "read:items", cnf: { jkt: await calculateJwkThumbprint(jwk) } })
  .setProtectedHeader({ alg: "RS256", typ: "at+jwt", kid: "k1" })
  .setIssuer(ISSUER).setAudience(AUDIENCE).setSubject("alice").setIssuedAt(now).setExpirationTime(now + 60)
  .sign(issuer.privateKey);

const ath = createHash("sha256").update(token).digest("base64url");
const proof = await new SignJWT({ htm: METHOD, htu, ath, jti: randomUUID() })
  .setProtectedHeader({ alg: ALG, typ: "dpop+jwt", jwk })
  .setIssuedAt(now)
  .sign(client.privateKey);

console.log(JSON.stringify({ keys: [listed], token, proof }));
