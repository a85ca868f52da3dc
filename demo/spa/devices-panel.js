/** Where am I signed in? The list of sessions, each with a way to end it, and one for all others. */

import { apiJSON } from "/auth/client.js";
import { byTestId, element, notify } from "/dom.js";
import { inWords, mayPass, stopTrying, tryAgainLater } from "/outage.js";

const list = byTestId("devices");
const problem = byTestId("devices-problem");
const endOthers = byTestId("devices-end-others");

/** Counts the loads: an older response must not come back after a newer one, or after a logout. */
let latestLoad = 0;

/** Make "Refresh" and "Sign out all others" work. */
export function wireDevicesPanel() {
  byTestId("devices-refresh").addEventListener("click", loadDevices);
  endOthers.addEventListener("click", () => end(endOthers, "", ({ ended }) =>
    notify(ended === 1 ? "One other device is signed out." : `${ended} other devices are signed out.`)));
}

/** Load and list the sessions of this user. */
export async function loadDevices() {
  const load = ++latestLoad;
  stopTrying("devices");
  try {
    const { sessions } = await apiJSON("/auth/sessions", { cache: "no-store" });
    if (load !== latestLoad) return;
    list.replaceChildren(...sessions.map(device));
    endOthers.hidden = sessions.every(({ current }) => current);
    problem.replaceChildren();
  } catch (error) {
    if (load !== latestLoad || error.status === 401) return;
    showProblem("The list can’t be loaded now.", error);
    if (mayPass(error)) tryAgainLater("devices", loadDevices, error);
  }
}

/** Empty the list. */
export function clearDevices() {
  latestLoad += 1;
  stopTrying("devices");
  list.replaceChildren();
  problem.replaceChildren();
  endOthers.hidden = true;
}

/** @param {string} words @param {any} error A sign-in may help; it comes back to this page. */
function showProblem(words, error) {
  const link = error.login_url && element("a", { href: error.login_url }, "Sign in again");
  problem.replaceChildren(`${words} ${inWords(error)} `, link || "");
}

function device({ id, current, browser, created_at: createdAt, last_seen_at: lastSeenAt }) {
  const shown = browser || "Unknown browser";
  const name = element("span", { class: "device-name" }, shown);
  const seen = current ? "in use now" : `last used ${ago(lastSeenAt)}`;
  const detail = `Signed in ${at(createdAt)}, ${seen}`;
  const words = element("div", {}, name, element("span", { class: "hint" }, detail));
  const item = element("li", { "data-testid": "device", "data-current": String(current) }, words);
  const label = `Sign out ${shown}, signed in ${at(createdAt)}`;
  item.append(current ? element("span", { class: "pill good" }, "This one") : endButton(id, label));
  return item;
}

function endButton(id, label) {
  const attributes = { type: "button", class: "button quiet small", "data-testid": "device-end" };
  const button = element("button", { ...attributes, "aria-label": label }, "Sign out");
  button.addEventListener("click", () => end(button, `/${encodeURIComponent(id)}`));
  return button;
}

/** End one session, or all but this one; then the list is loaded anew. */
async function end(button, path, onEnded = () => {}) {
  button.disabled = true;
  let failure = null;
  try {
    onEnded(await apiJSON(`/auth/sessions${path}`, { method: "DELETE" }));
  } catch (error) {
    // Another one has ended it already.
    if (error.code !== "session_unknown") failure = error;
  }
  button.disabled = false;
  await loadDevices();
  if (failure && failure.status !== 401) showProblem("That didn’t work.", failure);
}

/** With the second: two sign-ins of one browser are told apart. */
function at(instant) {
  const form = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return form.format(instant * 1000);
}

function ago(instant) {
  const seconds = Math.max(0, Date.now() / 1000 - instant);
  if (seconds < 60) return "just now";
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (seconds < 3600) return words.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86400) return words.format(-Math.floor(seconds / 3600), "hour");
  return words.format(-Math.floor(seconds / 86400), "day");
}
