/** Which events does the API send? Server-sent events over `/api`, like any other call. */

import { byTestId, element } from "/dom.js";
import { stopTrying, tryAgainLater } from "/outage.js";

const TICKS = 40;
const toggle = byTestId("stream-toggle");
const state = byTestId("stream-state");
const last = byTestId("stream-last");
const ticks = document.querySelector(".ticks");

/** @type {EventSource | null} */
let source = null;

/** @param {() => void} onRefused Called if the stream is refused: an outage, or the session has ended. */
export function wireStreamPanel(onRefused) {
  ticks.replaceChildren(...Array.from({ length: TICKS }, () => element("li")));
  toggle.addEventListener("click", () => (source ? disconnect() : connect(onRefused)));
}

/** Close the stream and remove the last event. */
export function clearStreamPanel() {
  disconnect();
  last.textContent = "–";
  for (const tick of ticks.children) tick.className = "";
}

function connect(onRefused) {
  source = new EventSource("/api/events");
  show("Connecting", "waiting", "Disconnect");
  source.addEventListener("open", () => show("Live", "good", "Disconnect"));
  source.addEventListener("message", ({ data }) => showEvent(JSON.parse(data)));
  source.addEventListener("error", () => {
    show("Reconnecting", "waiting", "Disconnect");
    if (source?.readyState !== EventSource.CLOSED) return;
    // The browser doesn't reconnect after a response that isn't a stream, and shows no status.
    tryAgainLater("stream", () => connect(onRefused));
    onRefused();
  });
}

function disconnect() {
  stopTrying("stream");
  source?.close();
  source = null;
  show("Off", "", "Connect");
}

function show(text, kind, action) {
  state.textContent = text;
  state.className = `pill ${kind}`;
  toggle.textContent = action;
}

function showEvent({ number, server_time: serverTime }) {
  const at = new Date(serverTime * 1000);
  last.textContent = at.toLocaleTimeString("en-GB");
  last.dataset.number = String(number);
  const tick = ticks.children[(number - 1) % TICKS];
  ticks.querySelector(".newest")?.classList.remove("newest");
  tick.className = "lit newest";
  const next = ticks.children[number % TICKS];
  next.className = "";
}
