// The upstream of the correctness rows: `node api.mjs`. It prints one line of JSON when it is ready.
//
// It refuses a request without an access token, and one whose token has expired. `/slow/<ms>` takes
// so many milliseconds; `/stream` sends events until the client disconnects.

import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

function isLive(authorization) {
  const payload = /^Bearer [\w-]+\.([\w-]+)\.[\w-]+$/.exec(authorization ?? '')?.[1];
  return Boolean(payload) && JSON.parse(Buffer.from(payload, 'base64url')).exp * 1000 > Date.now();
}

const server = createServer(async (request, response) => {
  const allowed = isLive(request.headers.authorization);
  const slow = /^\/slow\/(\d+)$/.exec(request.url);
  if (slow) await pause(Number(slow[1]));
  if (allowed && request.url === '/stream') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write('data: begin\n\n');
    const beat = setInterval(() => response.write('data: beat\n\n'), 10_000);
    response.on('close', () => clearInterval(beat));
    return;
  }
  response.writeHead(allowed ? 200 : 401, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ allowed }));
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', 4096, () => {
  console.log(JSON.stringify({ ready: true, port: server.address().port }));
});
process.on('SIGTERM', () => process.exit(0));
