/** How long does the session last? A countdown from the last response of `/auth/profile`. */

import { byTestId } from "/dom.js";

const FIELDS = {
  idle_seconds_left: byTestId("time-idle"),
  absolute_seconds_left: byTestId("time-absolute"),
  access_token_seconds_left: byTestId("time-access"),
};

/** @type {import("/auth/client.js").SessionTimes | null} */
let times = null;
let readAt = 0;

/** @param {() => void} onRunOut Called once when the session has timed out by the page's clock. */
export function wireTimePanel(onRunOut) {
  setInterval(() => {
    if (!times) return;
    draw();
    if (Math.min(left("idle_seconds_left"), left("absolute_seconds_left")) > 0) return;
    times = null;
    onRunOut();
  }, 1000);
}

/** @param {import("/auth/client.js").SessionTimes | null} session */
export function showTimes(session) {
  times = session;
  readAt = performance.now();
  if (times) draw();
}

function left(name) {
  return Math.max(0, times[name] - (performance.now() - readAt) / 1000);
}

function draw() {
  for (const [name, field] of Object.entries(FIELDS)) {
    const known = times[name] !== null && times[name] !== undefined;
    const seconds = known ? Math.round(left(name)) : 0;
    field.dataset.seconds = known ? String(seconds) : "";
    field.textContent = known ? inWords(name, seconds) : "Unknown";
  }
}

function inWords(name, seconds) {
  if (seconds === 0 && name === "access_token_seconds_left") return "At the next call";
  const two = (number) => String(number).padStart(2, "0");
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${two(minutes)} min`;
  return `${minutes}:${two(seconds % 60)}`;
}
