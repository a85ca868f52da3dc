/** What does the API respond? Buttons that call it, and the response in readable form. */

import { apiFetch, session } from "/auth/client.js";
import { byTestId, element } from "/dom.js";

const output = byTestId("api-output");
const status = byTestId("api-status");
const stepUp = byTestId("step-up");
const pre = output.querySelector("pre");
const JSON_PARTS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi;

let latestCall = 0;

/** @param {() => void} afterCall Called after each call, which may have changed the session's times. */
export function wireAPIPanel(afterCall) {
  const on = (id, method, path) =>
    byTestId(id).addEventListener("click", () => call(method, path).then(afterCall));
  on("api-items", "GET", "/api/items");
  on("api-whoami", "GET", "/api/whoami");
  on("api-slow", "GET", "/api/slow?seconds=2");
  on("api-fail", "GET", "/api/nothing");
  on("api-transfer", "POST", "/api/transfer");
  // A link, not a redirect: a user without a second factor would be redirected for ever.
  session.addEventListener("step-up-required", ({ detail }) => offerStepUp(detail.login_url));
  const form = byTestId("api-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const title = form.elements.title.value.trim() || form.elements.title.placeholder;
    form.reset();
    call("POST", "/api/items", { title }).then(afterCall);
  });
}

/** Remove the last response: it belongs to the user who was signed in. */
export function clearAPIPanel() {
  latestCall += 1;
  offerStepUp(null);
  output.setAttribute("aria-busy", "false");
  status.replaceChildren(element("span", { class: "quiet-text" }, "The answer appears here."));
  pre.replaceChildren();
}

async function call(method, path, body) {
  const thisCall = ++latestCall;
  offerStepUp(null);
  output.setAttribute("aria-busy", "true");
  showStatus(method, path, "…", "waiting");
  const startedAt = performance.now();
  const init = { method, headers: { Accept: "application/json" } };
  if (body) {
    init.body = JSON.stringify(body);
    init.headers["Content-Type"] = "application/json";
  }
  let outcome;
  try {
    const response = await apiFetch(path, init);
    const text = await response.text();
    const kind = response.ok ? "good" : "bad";
    outcome = { label: `${response.status}`, kind, text, bytes: text.length };
  } catch {
    outcome = { label: "no answer", kind: "bad", text: "The network request failed." };
  }
  // Of two concurrent calls, the later one is shown.
  if (thisCall !== latestCall) return;
  const milliseconds = Math.round(performance.now() - startedAt);
  output.setAttribute("aria-busy", "false");
  showStatus(method, path, outcome.label, outcome.kind, `${milliseconds} ms`);
  pre.replaceChildren(...pretty(outcome.text));
  pre.scrollTop = 0;
}

/** @param {string | null} url The address of the stronger sign-in; null if none is needed. */
function offerStepUp(url) {
  stepUp.hidden = url === null;
  byTestId("step-up-go").href = url ?? "";
}

function showStatus(method, path, label, kind, time = "") {
  status.replaceChildren(
    element("code", {}, `${method} ${path}`),
    " ",
    element("span", { class: `pill ${kind}` }, label),
    " ",
    element("span", { class: "quiet-text" }, time),
  );
}

/** Indent and colour JSON; other text is shown unchanged. */
function pretty(text) {
  let json;
  try {
    json = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return [text];
  }
  const nodes = [];
  let end = 0;
  for (const match of json.matchAll(JSON_PARTS)) {
    const [whole, string, colon = "", word] = match;
    const kind = string ? (colon ? "key" : "string") : word ? "word" : "number";
    nodes.push(json.slice(end, match.index));
    nodes.push(element("span", { class: `json-${kind}` }, string ?? whole), colon);
    end = match.index + whole.length;
  }
  return [...nodes, json.slice(end)];
}
