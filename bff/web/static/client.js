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
 *     session.addEventListener("session-changed", ({ detail }) => detail.same_user || location.reload());
 *     session.addEventListener("step-up-required", ({ detail }) => offer(detail.login_url));
 *
 * @typedef {{sub: string, name?: string, given_name?: string, family_name?: string, nickname?: string,
 *   preferred_username?: string, email?: string, email_verified?: boolean, picture?: string,
 *   locale?: string, org_id?: string, org_name?: string, [claim: string]: unknown}} User
 * @typedef {object} SessionTimes
 * @property {string} id The public id of this session; it gives no access.
 * @property {number} created_at UTC epoch seconds.
 * @property {number} idle_seconds_left
 * @property {number} absolute_seconds_left
 * @property {number | null} access_token_seconds_left
 * @typedef {{user: User, session: SessionTimes, logout_url: string}} Profile
 * @typedef {{code?: string, detail?: string, title?: string, login_url?: string,
 *   acr_values?: string, max_age?: number, [member: string]: unknown}} Problem
 * @typedef {{login_url: string, acr_values?: string, max_age?: number}} StepUp
 * @typedef {string | null | undefined} OptionalText
 * @typedef {{returnTo?: OptionalText, prompt?: OptionalText, login_hint?: OptionalText,
 *   screen_hint?: OptionalText, organization?: OptionalText, invitation?: OptionalText,
 *   connection?: OptionalText, max_age?: OptionalText | number, acr_values?: OptionalText,
 *   ui_locales?: OptionalText, session_transfer_token?: OptionalText,
 *   [parameter: string]: OptionalText | number}} LoginOptions
 * @typedef {{status: number, url?: string, headers?: any, data?: any, request?: any}} Reported
 * @typedef {{reason: string}} Ended
 * @typedef {{profile: Profile}} Began
 * @typedef {{profile: Profile, same_user: boolean}} Changed
 * @typedef {{"session-ended": Ended, "session-began": Began, "session-changed": Changed, "step-up-required": StepUp}} Details
 * @typedef {{
 *   addEventListener<Name extends keyof Details>(name: Name,
 *     listener: (event: CustomEvent<Details[Name]>) => unknown, options?: boolean | AddEventListenerOptions): void,
 *   removeEventListener<Name extends keyof Details>(name: Name,
 *     listener: (event: CustomEvent<Details[Name]>) => unknown, options?: boolean | EventListenerOptions): void
 * } & EventTarget} SessionTarget
 */

const LOGIN_PARAMETERS = new Set([
  "prompt", "login_hint", "screen_hint", "organization", "invitation", "connection", "max_age",
  "acr_values", "ui_locales", "session_transfer_token", /* BFF_LOGIN_PARAMETERS: the server writes their names here. */
]);
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
const SESSION_HEADER = "X-BFF-Session";
const CHANGED_CODE = "session_changed";
// The last two: it goes on in the browser that it is bound to, or in none.
const ENDED_CODES = new Set(["session_missing", "session_ended", "device_unproven", "device_unbound"]);

/** The BFF appends it to the query. Any other `error` is the app's own. */
const SILENT_SIGN_IN_ERROR = new RegExp(
  "^([^?#]*(?:\\?[^#]*?)?)[?&]error=(?:(?:login|interaction|consent|account_selection)_required" +
    "|sign_in_too_old|sign_in_superseded|state_invalid|id_token_invalid|cross_site|overloaded" +
    "|provider_(?:unavailable|rejected|misconfigured)|store_unavailable)(?=#|$)",
);

// In both cases the session continues, and a sign-in of the user helps.
const STEP_UP_CODES = new Set(["insufficient_user_authentication", "sign_in_required"]);
/** Of an address to return to. The BFF takes no more, and some servers refuse a longer request line. */
const RETURN_TO_MAX_CHARACTERS = 2000;
const SERVICE_WORKER_WARNING =
  "A service worker controls this page. It must leave navigations to /auth and requests to /api " +
  "to the network, or the sign-in fails.";

/**
 * Fires CustomEvents. In every tab of the app:
 * - `session-ended`, with `detail: {reason}`;
 * - `session-changed`, with `detail: {profile, same_user}`: the browser has another session than the
 *   one that this page shows, of another user or (`same_user`) of a new sign-in;
 * - `session-began`, with `detail: {profile}`: a user has signed in since this page showed none.
 *
 * And `step-up-required`, with `detail: {login_url, acr_values, max_age}`, in the tab whose request
 * needs a stronger, a more recent or another sign-in. The page stays: the app goes to `login_url` when the
 * user wants to. Otherwise a provider without a stronger sign-in would cause an endless loop.
 */
export const session = /** @type {SessionTarget} */ (new EventTarget());

// A BroadcastChannel reaches the other tabs without writing to storage.
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("bff-session") : null;

/** Whether an end must be reported: not twice, and not if no user was signed in. */
let mayEnd = true;
/**
 * What the page shows: undefined before the first profile, null if no user is signed in.
 * @type {Profile | null | undefined}
 */
let shown;
/** Counts the profile requests: a response changes nothing if something newer is known already. */
let asked = 0;
let known = 0;

/**
 * While `logout()` leaves the page, the server refuses what else the page asks for. The page isn't told:
 * it would offer a sign-in, which runs into the logout. Settled if the page stays.
 * @type {Promise<undefined> | null}
 */
let leaving = null;
const LEAVING_MILLISECONDS = 30_000;

/** The step-up that a response demands. @type {WeakMap<object, StepUp>} */
const stepUps = new WeakMap();

/**
 * An error response, of the BFF or of an API. `code` is `unknown` where the response has none;
 * `login_url` is the sign-in that helps, and it returns to this page.
 */
export class ProblemError extends Error {
  /**
   * @param {number} status
   * @param {Problem} problem
   * @param {number | null} [retryAfterSeconds]
   */
  constructor(status, problem, retryAfterSeconds = null) {
    const { code, title, detail } = problem;
    super(text(detail) ?? text(title) ?? `The answer was HTTP ${status}.`);
    this.name = "ProblemError";
    this.status = status;
    this.code = text(code) ?? "unknown";
    this.title = text(title);
    this.detail = text(detail);
    this.login_url = loginURLIn(problem);
    this.retry_after_seconds = retryAfterSeconds;
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
  const number = ++asked;
  const path = `/auth/profile${slide ? "?slide=true" : ""}`;
  const response = await send(new Request(path, { cache: "no-store" }));
  if (response.ok) {
    const me = await valueOf(response, isProfile);
    if (number > known) show(me, number);
    return me;
  }
  // The body of a 401 is read, too: for the browser, an unread response never ends.
  const problem = await problemOf(response);
  // Nor is the 401 of a proxy in front.
  if (response.status !== 401 || !isProblem(response)) throw problem;
  while (leaving) await leaving;
  if (number > known) {
    if (shown) ended("session_ended");
    showNone();
  }
  return null;
}

/**
 * Leave the page for the sign-in.
 * @param {LoginOptions} [options] The page to return to (this one by default), and parameters such as
 *   `prompt`, `login_hint` or `organization`, or of the server's setting `BFF_LOGIN_PARAMETERS`; null
 *   and undefined are left out. A `session_transfer_token` is taken out of the address to return to.
 */
export function login({ returnTo, ...parameters } = {}) {
  const query = new URLSearchParams({ returnTo: withoutTransferToken(returnTo ?? here()) });
  for (const [name, value] of Object.entries(parameters)) {
    if (!LOGIN_PARAMETERS.has(name)) throw new TypeError(`login() has no parameter ${name}`);
    if (value !== null && value !== undefined) query.set(name, String(value));
  }
  if (navigator.serviceWorker?.controller) console.warn(SERVICE_WORKER_WARNING);
  location.assign(`/auth/login?${query}`);
}

/**
 * Sign out here, and leave the page for the logout at the provider. Until it is left, no event and no
 * `profile()` of this page tells of the end.
 * @throws {ProblemError} The user is not signed out, for example because of an outage.
 */
export async function logout() {
  const stay = leave();
  try {
    // Whichever user's session it is by now: a sign-out is never refused for that.
    const response = await send(new Request("/auth/logout", { method: "POST" }));
    if (!response.ok) throw await problemOf(response);
    const { logout_url: logoutURL } = await valueOf(response, (value) => typeof value?.logout_url === "string");
    showNone();
    channel?.postMessage({ type: "session-ended", reason: "signed_out" });
    location.assign(logoutURL);
  } catch (error) {
    stay();
    throw error;
  }
  // Not left, for instance since the user kept the page open ("Leave site?").
  setTimeout(() => {
    stay();
    if (!leaving && shown === null) tell("session-ended", { reason: "signed_out" });
  }, LEAVING_MILLISECONDS);
}

/** @returns {() => void} To be called if the page stays. */
function leave() {
  let settle = () => {};
  const staying = new Promise((resolve) => {
    settle = () => resolve(undefined);
  });
  leaving = staying;
  return () => {
    if (leaving === staying) leaving = null;
    settle();
  };
}

/**
 * `fetch` for this app's own addresses: adds `X-CSRF: 1`, and reports an ended or another session.
 * A write names the session that the page shows, and is refused (409, `session_changed`) if the
 * browser has another user's by now. Always returns the response.
 * @param {RequestInfo | URL} input
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export async function apiFetch(input, init) {
  const request = new Request(input, init);
  if (new URL(request.url).origin !== location.origin) return globalThis.fetch(request);
  const meantFor = shown;
  let response = await send(naming(request, meantFor));
  if (await isRefusedAsChanged(response)) {
    await look();
    const repeated = again(input, init, meantFor);
    if (repeated) response = await send(naming(repeated, shown));
  }
  await noted(response);
  return response;
}
export { apiFetch as fetch };

/**
 * `apiFetch` for query libraries: the value of the response's JSON, null if it has no content.
 * @template T
 * @param {RequestInfo | URL} input
 * @param {RequestInit} [init]
 * @returns {Promise<T>}
 * @throws {ProblemError} The status is none of success, or (`not_json`) the response isn't JSON.
 */
export async function apiJSON(input, init) {
  const response = await apiFetch(input, init);
  if (!response.ok) throw await problemOf(response);
  return valueOf(response, () => true, null);
}

/**
 * Fire the events for a response that `apiFetch` didn't fetch, as it does for its own.
 * @param {Response | Reported | null | undefined} response That of `fetch`, still unread, or of axios;
 *   nothing happens without one.
 * @returns {Promise<ProblemError | null>} What is wrong; null for a success.
 */
export async function report(response) {
  const error = await noted(response);
  if (error?.code === CHANGED_CODE) await look();
  return error;
}

/** @param {Response | Reported | null | undefined} response */
async function noted(response) {
  if (!response?.status || !isOurs(response)) return null;
  // Nor does a success say that a user has signed in again: the route may need none.
  if (response.status < 400) return null;
  const isRead = response instanceof Response && response.bodyUsed;
  // The caller reads the response, too.
  const mayClone = response instanceof Response && !isRead && isProblem(response);
  const isUnread = response instanceof Response && !mayClone;
  const error = await problemOf(mayClone ? response.clone() : response, !isUnread);
  if (response.status !== 401) return error;
  if (isRead) await look();
  if (ENDED_CODES.has(error.code)) ended(error.code);
  const detail = stepUpIn(error);
  if (detail) {
    stepUps.set(response, detail);
    tell("step-up-required", detail);
  }
  return error;
}

/**
 * The address of the sign-in that a refused request needs; it returns to this page.
 * @param {Response | Reported} response A response of `apiFetch`, or one that was reported.
 * @returns {string | null} null if the request was not refused for that reason.
 */
export function stepUpURL(response) {
  return stepUps.get(response)?.login_url ?? null;
}

/** @param {ProblemError} error @returns {StepUp | null} */
function stepUpIn({ code, login_url: loginURL, problem: { acr_values, max_age } }) {
  return loginURL && STEP_UP_CODES.has(code) ? { login_url: loginURL, acr_values, max_age } : null;
}

/** @param {Problem} problem @returns {string | null} */
function loginURLIn({ login_url: loginURL }) {
  if (typeof loginURL !== "string") return null;
  const url = absolute(loginURL);
  // An API can send the same code; it must not lead the user to any other page.
  if (url?.origin !== location.origin || url.pathname !== "/auth/login") return null;
  url.searchParams.set("returnTo", here());
  return url.pathname + url.search;
}

/** Another server's 401 says nothing of our session. @param {Response | Reported} response */
function isOurs(response) {
  const { url, request } = /** @type {Reported} */ (response);
  return absolute(url || request?.responseURL || request?.url || "")?.origin === location.origin;
}

/** @param {string} address */
function absolute(address) {
  try {
    return new URL(address, location.origin);
  } catch {
    return null;
  }
}

/** @param {Request} request */
function send(request) {
  request.headers.set("X-CSRF", "1");
  return globalThis.fetch(request);
}

/**
 * A write, with the session for which it is meant.
 * @param {Request} request
 * @param {Profile | null | undefined} meantFor
 */
function naming(request, meantFor) {
  if (meantFor && !SAFE_METHODS.has(request.method)) {
    request.headers.set(SESSION_HEADER, meantFor.session.id);
  }
  return request;
}

/** @param {Response} response */
async function isRefusedAsChanged(response) {
  if (response.status !== 409 || !isProblem(response)) return false;
  return (await problemOf(response.clone())).code === CHANGED_CODE;
}

/**
 * The refused request once more, if the user has only signed in anew; it had no effect.
 * @param {RequestInfo | URL} input
 * @param {RequestInit | undefined} init
 * @param {Profile | null | undefined} meantFor
 * @returns {Request | null} null for another user, or if the body was a stream.
 */
function again(input, init, meantFor) {
  // By its id: two sign-ins within a second begin at the same time.
  if (!meantFor || !shown || meantFor.session.id === shown.session.id) return null;
  if (!isSameUser(meantFor, shown)) return null;
  try {
    return new Request(input, init);
  } catch {
    return null;
  }
}

/** @param {Response | Reported} response @param {string} name @returns {string | null} */
function header({ headers }, name) {
  return (headers?.get ? headers.get(name) : headers?.[name.toLowerCase()]) ?? null;
}

/** @param {Response | Reported} response */
function isProblem(response) {
  return /^application\/problem\+json/i.test(header(response, "Content-Type") ?? "");
}

/**
 * @param {Response | Reported} response
 * @param {boolean} [mayRead] Whether its body isn't left to somebody else.
 */
async function problemOf(response, mayRead = true) {
  const value = mayRead ? await bodyOf(response).catch(() => null) : null;
  const isJSON = /\bjson\b/i.test(header(response, "Content-Type") ?? "");
  const body = isJSON && typeof value === "object" && value !== null ? value : {};
  const { title, detail } = body;
  // What an API says in JSON of its own is told, too, but it is no code and no address of ours.
  const problem = isProblem(response) ? body : { title, detail };
  const seconds = header(response, "Retry-After");
  const error = new ProblemError(response.status, problem, /^\d+$/.test(seconds ?? "") ? Number(seconds) : null);
  error.problem = body;
  return error;
}

/**
 * The value of a success's JSON.
 * @param {Response} response
 * @param {(value: any) => boolean} isExpected
 * @param {any} [ifEmpty]
 * @throws {ProblemError} It is a page (of a proxy, or of a dev server), or of somebody else.
 */
async function valueOf(response, isExpected, ifEmpty) {
  const body = await response.text();
  const value = body ? parsed(body) : ifEmpty;
  if (value === undefined) throw new ProblemError(response.status, { code: "not_json", detail: "The answer is not JSON." });
  if (!isExpected(value)) throw new ProblemError(response.status, { detail: "The answer is not the BFF's." });
  return value;
}

/** @param {any} value */
function isProfile(value) {
  return Boolean(value?.user && value.session);
}

/** The body: axios has read it already, as what its `responseType` says. @param {Response | Reported} response */
async function bodyOf(response) {
  if (response instanceof Response) return response.json();
  const { data } = response;
  if (data instanceof Blob || data instanceof ArrayBuffer) return new Response(data).json();
  return typeof data === "string" ? parsed(data) : data;
}

/** @param {string} body @returns {any} undefined if it isn't JSON. */
function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** An API's problem may have any type in its members. @param {unknown} value */
function text(value) {
  return typeof value === "string" && value ? value : undefined;
}

/**
 * This page's address as it is: `searchParams` would write `a%20b` as `a+b`, and `flag` as `flag=`.
 * Only the error of a failed silent sign-in is left out, and what the BFF refuses since others read
 * it differently is escaped: a percent sign in the path that begins no escape, and a backslash.
 */
function here() {
  const url = new URL(location.href);
  url.username = url.password = "";
  url.pathname = url.pathname.replace(/%(?![0-9A-Fa-f]{2})/g, "%25");
  const page = url.href.slice(url.origin.length).replace(SILENT_SIGN_IN_ERROR, "$1").replaceAll("\\", "%5C");
  const kept = withoutTransferToken(page);
  return kept.length > RETURN_TO_MAX_CHARACTERS ? "/" : kept;
}

/**
 * It signs in whoever has it, so that it belongs into no cookie and no second address.
 * @param {string} address
 */
function withoutTransferToken(address) {
  const [, path = "", query, fragment = ""] = /^([^?#]*)(?:\?([^#]*))?(#.*)?$/s.exec(address) ?? [];
  const kept = query?.split("&").filter((one) => !one.startsWith("session_transfer_token="));
  if (kept?.length === query?.split("&").length) return address;
  return path + (kept?.length ? `?${kept.join("&")}` : "") + fragment;
}

/** @param {Profile} me @param {number} number That of its request. */
function show(me, number) {
  const before = shown;
  shown = me;
  known = number;
  mayEnd = true;
  if (before && isSame(before, me)) return;
  channel?.postMessage({ type: "session-shown", id: me.session.id });
  if (before) tell("session-changed", { profile: me, same_user: isSameUser(before, me) });
  else if (before === null) tell("session-began", { profile: me });
}

function showNone() {
  shown = null;
  known = asked;
  mayEnd = false;
}

/** @param {string} reason */
async function ended(reason, { tellOthers = true } = {}) {
  while (leaving) await leaving;
  if (!mayEnd) return;
  showNone();
  if (tellOthers) channel?.postMessage({ type: "session-ended", reason });
  tell("session-ended", { reason });
}

/**
 * @template {keyof Details} Name
 * @param {Name} type
 * @param {Details[Name]} detail
 */
function tell(type, detail) {
  session.dispatchEvent(new CustomEvent(type, { detail }));
}

/** A session keeps its time when a new key of the BFF changes its id. @param {Profile} a @param {Profile} b */
function isSame(a, b) {
  const sameTime = a.session.created_at === b.session.created_at;
  return a.session.id === b.session.id || (sameTime && isSameUser(a, b));
}

/**
 * Without a `sub` (`BFF_PROFILE_CLAIMS`) every session is another user's.
 * @param {Profile} a
 * @param {Profile} b
 */
function isSameUser({ user: a }, { user: b }) {
  return typeof a.sub === "string" && a.sub === b.sub && a.org_id === b.org_id;
}

/** Find out what has changed, for the events; nothing if this page never asked who is there. */
async function look() {
  if (shown !== undefined) await profile().catch(() => null);
}

channel?.addEventListener("message", ({ data }) => {
  if (data?.type === "session-ended") ended(data.reason, { tellOthers: false });
  if (data?.type === "session-shown" && data.id !== shown?.session.id) look();
});

// Another browser tab, or a page without this module, may have ended or replaced the session.
globalThis.document?.addEventListener("visibilitychange", () => document.hidden || look());

// A page from the back/forward cache may show a user who has signed out since, and no event fires.
globalThis.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
