// Starts the Auth0 simulator: node auth0_simulator.mjs PORT. Its certificate lies in $HOME/.simulacrum.
import { createRequire } from "node:module";

// As an ECMAScript module it can't sign.
const { simulation } = createRequire(import.meta.url)("@simulacrum/auth0-simulator");

const users = [{ id: "auth0|dana", name: "Dana Demo", email: "dana@example.com", password: "verysecure" }];
const options = { clientID: "web", scope: "openid profile email offline_access" };

// Its own page needs a script of Auth0's servers, which sends these fields.
const signIn = (request, response) => {
  const hidden = ["redirect_uri", "state", "nonce"].map(
    (name) => `<input type="hidden" name="${name}" value="${encodeURI(request.query[name] ?? "")}">`,
  );
  response.send(`<form method="post" action="/usernamepassword/login">${hidden.join("")}
    <input name="username"><input name="password" type="password"><button>Sign in</button></form>`);
};
const extend = { extendRouter: (router) => router.get("/login", signIn) };

await simulation({ initialState: { users }, options, extend }).listen(Number(process.argv[2]), "localhost");
console.log("ready");
