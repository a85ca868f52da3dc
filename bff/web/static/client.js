/**
 * The session, for single-page apps. Served at `/auth/client.js`; no dependencies.
 * It stores nothing: it has no access to tokens and leaves the browser's storage empty.
 *
 *     import { profile, login, logout, apiFetch, session } from "/auth/client.js";
 *
 *     const me = await profile();                 // null: not signed in
 *     if (!me) login({ returnTo: "/orders" });
 *     const response = await apiFetch("/api/orders");
 *     session.addEventListener("session-ended", () => showSignIn());
 *     session.addEventListener("step-up-required", ({ detail }) => offer(detail.login_url));
 *
 * @typedef {{sub: string, name?: string, email?: string, picture?: string}} User
 * @typedef {object} SessionTimes
 * @property {string} id The public id of this session; it gives no access.
 * @property {number} created_at UTC epoch seconds.
 * @property {number} idle_seconds_left
 * @property {number} absolute_seconds_left
 * @property {number | null} access_token_seconds_left
 * @typedef {{user: User, session: SessionTimes, logout_url: string}} Profile
 * @typedef {{code?: string, detail?: string, title?: string, login_url?: string,
 *   acr_values?: string, max_age?: number}} Problem
 */

const LOGIN_PARAMETERS = new Set([
  "prompt", "login_hint", "screen_hint", "organization", "invitation", "connection", "max_age",
  "acr_values", "ui_locales",
]);
const ENDED_CODES = new Set(["session_missing", "session_ended"]);

/** The BFF appends it to the query. Any other `error` is the app's own. */
const SILENT_SIGN_IN_ERROR = new RegExp(
  "^([^?#]*(?:\\?[^#]*?)?)[?&]error=(?:(?:login|interaction|consent|account_selection)_required" +
    "|sign_in_too_old|provider_unavailable|store_unavailable)(?=#|$)",
);

const STEP_UP_CODE = "insufficient_user_authentication";
const SERVICE_WORKER_WARNING =
  "A service worker controls this page. It must leave navigations to /auth and requests to /api " +
  "to the network, or the sign-in fails.";

/**
 * Fires `session-ended`, a CustomEvent with `detail: {reason}`, in every tab of the app; and
 * `step-up-required`, with `detail: {login_url, acr_values, max_age}`, in the tab whose request
 * needs a stronger or more recent sign-in. The page stays: the app goes to `login_url` when the
 * user wants to. Otherwise a provider without a stronger sign-in would cause an endless loop.
 */
export const session = new EventTarget();

// A BroadcastChannel reaches the other tabs without writing to storage.
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("bff-session") : null;

/** Whether an end must be reported: not twice, and not if no user was signed in. */
let mayEnd = true;
/** Whether a profile was received since the last end. */
let known = false;

/** The step-up that a response demands. @type {WeakMap<Response, {login_url: string}>} */
const stepUps = new WeakMap();

/** An error response of the BFF. */
export class ProblemError extends Error {
  /** @param {number} status @param {Problem} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `The answer was HTTP ${status}.`);
    this.name = "ProblemError";
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.problem = problem;
  }
}

/**
 * Get the signed-in user and the remaining times of the session.
 * @param {{slide?: boolean}} [options] `slide` counts the call as activity of the user.
 * @returns {Promise<Profile | null>} null if no user is signed in.
 * @throws {ProblemError} The BFF doesn't know (an outage is not a logout).
 */
export async function profile({ slide = false } = {}) {
  const response = await send(`/auth/profile${slide ? "?slide=true" : ""}`, { cache: "no-store" });
  if (response.ok) {
    known = mayEnd = true;
    return response.json();
  }
  // The body of a 401 is read, too: for the browser, an unread response never ends.
  const problem = await problemOf(response);
  if (response.status !== 401) throw problem;
  if (known) ended("session_ended");
  known = mayEnd = false;
  return null;
}

/**
 * Leave the page for the sign-in.
 * @param {{returnTo?: string} & Record<string, string | number>} [options] The page to return to
 *   (this one by default), and parameters such as `prompt`, `login_hint` or `organization`.
 */
export function login({ returnTo = here(), ...parameters } = {}) {
  const query = new URLSearchParams({ returnTo });
  for (const [name, value] of Object.entries(parameters)) {
    if (!LOGIN_PARAMETERS.has(name)) throw new TypeError(`login() has no parameter ${name}`);
    query.set(name, String(value));
  }
  if (navigator.serviceWorker?.controller) console.warn(SERVICE_WORKER_WARNING);
  location.assign(`/auth/login?${query}`);
}

/**
 * Sign out here, and leave the page for the logout at the provider.
 * @throws {ProblemError} The user is not signed out, for example because of an outage.
 */
export async function logout() {
  const response = await send("/auth/logout", { method: "POST" });
  if (!response.ok) throw await problemOf(response);
  const { logout_url: logoutURL } = await response.json();
  known = mayEnd = false;
  channel?.postMessage({ type: "session-ended", reason: "signed_out" });
  location.assign(logoutURL);
}

/**
 * `fetch` for this app's own addresses: adds `X-CSRF: 1`, and reports an ended session.
 * Always returns the response.
 * @param {RequestInfo | URL} input
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export async function apiFetch(input, init) {
  const request = new Request(input, init);
  if (new URL(request.url).origin !== location.origin) return globalThis.fetch(request);
  const response = await send(request);
  if (response.ok) mayEnd = true;
  if (response.status === 401) {
    const { code, problem } = await problemOf(response.clone());
    if (ENDED_CODES.has(code)) ended(code);
    const detail = stepUpIn(problem);
    if (detail) {
      stepUps.set(response, detail);
      session.dispatchEvent(new CustomEvent("step-up-required", { detail }));
    }
  }
  return response;
}
export { apiFetch as fetch };

/**
 * The address of the sign-in that a refused request needs; it returns to this page.
 * @param {Response} response A response of `apiFetch`.
 * @returns {string | null} null if the request was not refused for that reason.
 */
export function stepUpURL(response) {
  return stepUps.get(response)?.login_url ?? null;
}

/** @param {Problem} problem */
function stepUpIn({ code, login_url: loginURL, acr_values, max_age }) {
  if (code !== STEP_UP_CODE || typeof loginURL !== "string") return null;
  const url = new URL(loginURL, location.origin);
  // An API can send the same code; it must not lead the user to any other page.
  if (url.origin !== location.origin || url.pathname !== "/auth/login") return null;
  url.searchParams.set("returnTo", here());
  return { login_url: url.pathname + url.search, acr_values, max_age };
}

/** @param {RequestInfo} input @param {RequestInit} [init] */
function send(input, init) {
  const request = new Request(input, init);
  request.headers.set("X-CSRF", "1");
  return globalThis.fetch(request);
}

/** @param {Response} response */
async function problemOf(response) {
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const problem = isProblem ? await response.json().catch(() => ({})) : {};
  return new ProblemError(response.status, problem);
}

/**
 * This page's address as it is: `searchParams` would write `a%20b` as `a+b`, and `flag` as `flag=`.
 * Only the error of a failed silent sign-in is left out.
 */
function here() {
  const url = new URL(location.href);
  url.username = url.password = "";
  return url.href.slice(url.origin.length).replace(SILENT_SIGN_IN_ERROR, "$1");
}

/** @param {string} reason */
function ended(reason, { tellOthers = true } = {}) {
  if (!mayEnd) return;
  known = mayEnd = false;
  if (tellOthers) channel?.postMessage({ type: "session-ended", reason });
  session.dispatchEvent(new CustomEvent("session-ended", { detail: { reason } }));
}

channel?.addEventListener("message", ({ data }) => {
  if (data?.type === "session-ended") ended(data.reason, { tellOthers: false });
});

// A page from the back/forward cache may show a user who has signed out since, and no event fires.
globalThis.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
