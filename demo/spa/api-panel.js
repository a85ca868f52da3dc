/** What does the API respond? Buttons that call it, and the response in readable form. */

import { apiFetch, session } from "/auth/client.js";
import { byTestId, element } from "/dom.js";
import { inWords, stopTrying, tryAgainLater } from "/outage.js";

const output = byTestId("api-output");
const status = byTestId("api-status");
const stepUp = byTestId("step-up");
const pre = output.querySelector("pre");
const JSON_PARTS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi;

/** Of the BFF or of what is behind it; they pass. */
const OUTAGES = new Set([429, 502, 503, 504]);
const MAYBE_DONE = "It may have been done all the same: look before you do it again.";

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
    call("POST", "/api/items", { title }).then((arrived) => {
      form.elements.title.value ||= arrived ? "" : title;
      afterCall();
    });
  });
}

/** Remove the last response: it belongs to the user who was signed in. */
export function clearAPIPanel() {
  latestCall += 1;
  stopTrying("call");
  offerStepUp(null);
  output.setAttribute("aria-busy", "false");
  status.dataset.shown = "";
  status.replaceChildren(element("span", { class: "quiet-text" }, "The answer appears here."));
  pre.replaceChildren();
}

/**
 * Call the API and show what came. A read that an outage stops is tried again until something else is
 * called; a write isn't, since it may have been done.
 * @returns {Promise<boolean>} Whether there was a response.
 */
async function call(method, path, body, { isAgain = false } = {}) {
  const thisCall = ++latestCall;
  stopTrying("call");
  if (!isAgain) showWaiting(method, path);
  const startedAt = performance.now();
  const outcome = await outcomeOf(method, path, body);
  // Of two concurrent calls, the later one is shown.
  if (thisCall !== latestCall) return outcome.arrived;
  const mayRepeat = outcome.isOutage && method === "GET";
  if (mayRepeat) tryAgainLater("call", () => call(method, path, body, { isAgain: true }));
  output.setAttribute("aria-busy", "false");
  const milliseconds = Math.round(performance.now() - startedAt);
  const note = mayRepeat ? "Trying again by itself" : `${milliseconds} ms`;
  showStatus(method, path, outcome.label, outcome.kind, note);
  pre.replaceChildren(...pretty(outcome.text));
  pre.scrollTop = 0;
  return outcome.arrived;
}

async function outcomeOf(method, path, body) {
  const init = { method, headers: { Accept: "application/json" } };
  if (body) {
    init.body = JSON.stringify(body);
    init.headers["Content-Type"] = "application/json";
  }
  try {
    const response = await apiFetch(path, init);
    const { status, ok } = response;
    const isOutage = OUTAGES.has(status);
    const text = await response.text();
    return { label: `${status}`, kind: ok ? "good" : "bad", text, isOutage, arrived: true };
  } catch (error) {
    const text = method === "GET" ? inWords(error) : `${inWords(error)} ${MAYBE_DONE}`;
    return { label: "No answer", kind: "bad", text, isOutage: true, arrived: false };
  }
}

function showWaiting(method, path) {
  offerStepUp(null);
  output.setAttribute("aria-busy", "true");
  showStatus(method, path, "…", "waiting");
}

/** @param {string | null} url The address of the stronger sign-in; null if none is needed. */
function offerStepUp(url) {
  stepUp.hidden = url === null;
  byTestId("step-up-go").href = url ?? "";
}

function showStatus(method, path, label, kind, note = "") {
  const shown = [method, path, label, note].join();
  // What a repetition finds unchanged isn't read out again.
  if (shown === status.dataset.shown) return;
  status.dataset.shown = shown;
  status.replaceChildren(
    element("code", {}, `${method} ${path}`),
    " ",
    element("span", { class: `pill ${kind}` }, label),
    " ",
    element("span", { class: "quiet-text" }, note),
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
