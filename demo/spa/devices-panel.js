/** Where am I signed in? The list of sessions, each with a way to end it. */

import { apiFetch } from "/auth/client.js";
import { byTestId, element, notify } from "/dom.js";

const list = byTestId("devices");

/** Make the "Refresh" link work. */
export function wireDevicesPanel() {
  byTestId("devices-refresh").addEventListener("click", loadDevices);
}

/** Load and list the sessions of this user. */
export async function loadDevices() {
  try {
    const response = await apiFetch("/auth/sessions", { cache: "no-store" });
    if (!response.ok) return showProblem();
    const { sessions } = await response.json();
    list.replaceChildren(...sessions.map(device));
  } catch {
    showProblem();
  }
}

/** Empty the list. */
export function clearDevices() {
  list.replaceChildren();
}

function showProblem() {
  list.replaceChildren(element("li", { class: "quiet-text" }, "The list can’t be loaded now."));
}

function device({ id, current, browser, created_at: createdAt, last_seen_at: lastSeenAt }) {
  const name = element("span", { class: "device-name" }, browser || "Unknown browser");
  const seen = current ? "in use now" : `last used ${ago(lastSeenAt)}`;
  const detail = `Signed in ${ago(createdAt)}, ${seen}`;
  const words = element("div", {}, name, element("span", { class: "hint" }, detail));
  const item = element("li", { "data-testid": "device", "data-current": String(current) }, words);
  item.append(current ? element("span", { class: "pill good" }, "This one") : endButton(id, browser));
  return item;
}

function endButton(id, browser) {
  const label = `Sign out ${browser || "that one"}`;
  const attributes = { type: "button", class: "button quiet small", "data-testid": "device-end" };
  const button = element("button", { ...attributes, "aria-label": label }, "Sign out");
  button.addEventListener("click", async () => {
    button.disabled = true;
    const path = `/auth/sessions/${encodeURIComponent(id)}`;
    const response = await apiFetch(path, { method: "DELETE" }).catch(() => null);
    if (response?.ok || response?.status === 404) return loadDevices();
    button.disabled = false;
    notify("That session could not be ended. Please try again.", "bad");
  });
  return button;
}

function ago(instant) {
  const seconds = Math.max(0, Date.now() / 1000 - instant);
  if (seconds < 60) return "just now";
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (seconds < 3600) return words.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86400) return words.format(-Math.floor(seconds / 3600), "hour");
  return words.format(-Math.floor(seconds / 86400), "day");
}
