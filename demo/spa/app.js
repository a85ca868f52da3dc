/** Which page does the user see? The start of the app and the change between its states. */

import { login, logout, profile, session } from "/auth/client.js";
import { clearAPIPanel, wireAPIPanel } from "/api-panel.js";
import { clearDevices, loadDevices, wireDevicesPanel } from "/devices-panel.js";
import { byTestId, fill, notify, row, showState, tell } from "/dom.js";
import { lookAtBrowser, wireHoldsPanel } from "/holds-panel.js";
import { inWords, mayPass, stopTrying, tryAgainLater } from "/outage.js";
import { clearStreamPanel, wireStreamPanel } from "/stream-panel.js";
import { showTimes, wireTimePanel } from "/time-panel.js";

const ENDINGS = {
  signed_out: "You signed out in another tab.",
  session_missing: "You are not signed in any more.",
  session_ended: "Your session has ended.",
};
const CLAIM_NAMES = { sub: "Subject", email_verified: "Verified", org_id: "Organization" };
const BY_ITSELF = "This page tries again by itself.";

/** Counts the attempts to render: an older one must not overwrite the page of a newer one. */
let latestRender = 0;

/** Load the profile and show the matching page. */
async function refresh() {
  const render = ++latestRender;
  let me;
  try {
    me = await profile();
  } catch (error) {
    return render === latestRender && showOutage(error);
  }
  if (render !== latestRender) return;
  endOutage();
  if (me) await showSignedIn(me);
  else await showSignedOut();
}

async function showSignedIn(me) {
  const render = ++latestRender;
  const { user } = me;
  const name = user.name || user.nickname || user.email || user.sub;
  fill("name", name);
  fill("initials", initials(name));
  const claims = Object.entries(user).filter(([claim]) => claim !== "name" && claim !== "picture");
  const rows = claims.map(([claim, value]) => row(CLAIM_NAMES[claim] ?? label(claim), inText(value)));
  byTestId("user-claims").replaceChildren(...rows);
  showTimes(me.session);
  // Everything is loaded before it is shown, so that the layout doesn't shift.
  const isNew = document.body.dataset.state !== "in";
  await Promise.all([lookAtBrowser(), isNew && loadDevices()]);
  if (render === latestRender) showState("in");
}

async function showSignedOut() {
  const render = ++latestRender;
  showTimes(null);
  clearStreamPanel();
  clearAPIPanel();
  clearDevices();
  for (const field of ["name", "initials"]) fill(field, "");
  byTestId("user-claims").replaceChildren();
  await lookAtBrowser();
  if (render === latestRender) showState("out");
}

function showOutage(error) {
  const passes = mayPass(error);
  if (passes) tryAgainLater("profile", refresh, error);
  const words = `${inWords(error)} ${passes ? BY_ITSELF : ""}`;
  // An outage is not a logout: what the page has shown stays.
  if (["in", "out"].includes(document.body.dataset.state)) return tell("outage", words, "bad");
  fill("outage", words);
  showState("outage");
}

function endOutage() {
  stopTrying("profile");
  tell("outage", "");
}

function initials(name) {
  const words = name.trim().split(/[\s@.]+/).filter(Boolean);
  return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");
}

function inText(value) {
  if (typeof value === "boolean") return value ? "Yes" : "No";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** `given_name` as the page's other labels are; the name of a claim of one's own stays an address. */
function label(claim) {
  if (!/^[a-z_]+$/.test(claim)) return claim;
  return claim[0].toUpperCase() + claim.slice(1).replaceAll("_", " ");
}

/** A failed silent sign-in returns with `error=login_required` at the end of the query. */
function takeErrorFromAddress() {
  const found = /[?&]error=([^&]+)$/.exec(location.search);
  if (!found) return;
  const [{ length }, error] = found;
  // As text: `searchParams` would rewrite the rest of the address.
  history.replaceState(
    null, "", location.pathname + location.search.slice(0, -length) + location.hash,
  );
  notify(
    error === "login_required"
      ? "There was no sign-in to take over, so please sign in yourself."
      : "The silent sign-in did not work. Please sign in yourself.",
  );
}

async function signOut(event) {
  event.currentTarget.disabled = true;
  const button = event.currentTarget;
  try {
    await logout();
  } catch (error) {
    button.disabled = false;
    notify(`You are not signed out. ${mayPass(error) ? "Please try again." : inWords(error)}`, "bad");
    // Only the response may be lost.
    await refresh();
  }
}

/** The browser has another session by now: nothing of the old one may stay on the page. */
async function onChanged({ detail }) {
  if (detail.same_user) return showSignedIn(detail.profile);
  await showSignedOut();
  await showSignedIn(detail.profile);
  notify("Another user has signed in in this browser.");
}

async function onEnded({ detail }) {
  await showSignedOut();
  notify(ENDINGS[detail.reason] ?? ENDINGS.session_ended);
  document.getElementById("hero-title").focus({ preventScroll: true });
}

wireAPIPanel(refresh);
wireStreamPanel(refresh);
wireTimePanel(refresh);
wireDevicesPanel();
wireHoldsPanel();
byTestId("sign-in").addEventListener("click", () => login());
byTestId("sign-in-silent").addEventListener("click", () => login({ prompt: "none" }));
byTestId("sign-out").addEventListener("click", signOut);
byTestId("retry").addEventListener("click", refresh);
addEventListener("offline", refresh);
session.addEventListener("session-ended", onEnded);
session.addEventListener("session-changed", onChanged);
session.addEventListener("session-began", ({ detail }) => showSignedIn(detail.profile));

takeErrorFromAddress();
refresh();
