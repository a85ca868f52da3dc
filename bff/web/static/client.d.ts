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
export type User = {
    sub: string;
    name?: string;
    given_name?: string;
    family_name?: string;
    nickname?: string;
    preferred_username?: string;
    email?: string;
    email_verified?: boolean;
    picture?: string;
    locale?: string;
    org_id?: string;
    org_name?: string;
    [claim: string]: unknown;
};
export type SessionTimes = {
    /**
     * The public id of this session; it gives no access.
     */
    id: string;
    /**
     * UTC epoch seconds.
     */
    created_at: number;
    idle_seconds_left: number;
    absolute_seconds_left: number;
    access_token_seconds_left: number | null;
};
export type Profile = {
    user: User;
    session: SessionTimes;
    logout_url: string;
};
export type Problem = {
    code?: string;
    detail?: string;
    title?: string;
    login_url?: string;
    acr_values?: string;
    max_age?: number;
    [member: string]: unknown;
};
export type StepUp = {
    login_url: string;
    acr_values?: string;
    max_age?: number;
};
export type OptionalText = string | null | undefined;
export type LoginOptions = {
    returnTo?: OptionalText;
    prompt?: OptionalText;
    login_hint?: OptionalText;
    screen_hint?: OptionalText;
    organization?: OptionalText;
    invitation?: OptionalText;
    connection?: OptionalText;
    max_age?: OptionalText | number;
    acr_values?: OptionalText;
    ui_locales?: OptionalText;
    session_transfer_token?: OptionalText;
    [parameter: string]: OptionalText | number;
};
export type Reported = {
    status: number;
    url?: string;
    headers?: any;
    data?: any;
    request?: any;
};
export type Ended = {
    reason: string;
};
export type Began = {
    profile: Profile;
};
export type Changed = {
    profile: Profile;
    same_user: boolean;
};
export type Details = {
    "session-ended": Ended;
    "session-began": Began;
    "session-changed": Changed;
    "step-up-required": StepUp;
};
export type SessionTarget = {
    addEventListener<Name extends keyof Details>(name: Name, listener: (event: CustomEvent<Details[Name]>) => unknown, options?: boolean | AddEventListenerOptions): void;
    removeEventListener<Name extends keyof Details>(name: Name, listener: (event: CustomEvent<Details[Name]>) => unknown, options?: boolean | EventListenerOptions): void;
} & EventTarget;
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
export declare const session: SessionTarget;
/**
 * An error response, of the BFF or of an API. `code` is `unknown` where the response has none;
 * `login_url` is the sign-in that helps, and it returns to this page.
 */
export declare class ProblemError extends Error {
    status: number;
    code: string;
    title: string | undefined;
    detail: string | undefined;
    login_url: string | null;
    retry_after_seconds: number | null;
    problem: Problem;
    /**
     * @param {number} status
     * @param {Problem} problem
     * @param {number | null} [retryAfterSeconds]
     */
    constructor(status: number, problem: Problem, retryAfterSeconds?: number | null);
}
/**
 * Get the signed-in user and the remaining times of the session.
 * @param {{slide?: boolean}} [options] `slide` counts the call as activity of the user.
 * @returns {Promise<Profile | null>} null if no user is signed in.
 * @throws {ProblemError} The BFF doesn't know (an outage is not a logout).
 */
export declare function profile({ slide }?: {
    slide?: boolean;
}): Promise<Profile | null>;
/**
 * Leave the page for the sign-in.
 * @param {LoginOptions} [options] The page to return to (this one by default), and parameters such as
 *   `prompt`, `login_hint` or `organization`, or of the server's setting `BFF_LOGIN_PARAMETERS`; null
 *   and undefined are left out. A `session_transfer_token` is taken out of the address to return to.
 */
export declare function login({ returnTo, ...parameters }?: LoginOptions): void;
/**
 * Sign out here, and leave the page for the logout at the provider. Until it is left, no event and no
 * `profile()` of this page tells of the end.
 * @throws {ProblemError} The user is not signed out, for example because of an outage.
 */
export declare function logout(): Promise<void>;
/**
 * `fetch` for this app's own addresses: adds `X-CSRF: 1`, and reports an ended or another session.
 * A write names the session that the page shows, and is refused (409, `session_changed`) if the
 * browser has another user's by now. Always returns the response.
 * @param {RequestInfo | URL} input
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export declare function apiFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
export { apiFetch as fetch };
/**
 * `apiFetch` for query libraries: the value of the response's JSON, null if it has no content.
 * @template T
 * @param {RequestInfo | URL} input
 * @param {RequestInit} [init]
 * @returns {Promise<T>}
 * @throws {ProblemError} The status is none of success, or (`not_json`) the response isn't JSON.
 */
export declare function apiJSON<T>(input: RequestInfo | URL, init?: RequestInit): Promise<T>;
/**
 * Fire the events for a response that `apiFetch` didn't fetch, as it does for its own.
 * @param {Response | Reported | null | undefined} response That of `fetch`, still unread, or of axios;
 *   nothing happens without one.
 * @returns {Promise<ProblemError | null>} What is wrong; null for a success.
 */
export declare function report(response: Response | Reported | null | undefined): Promise<ProblemError | null>;
/**
 * The address of the sign-in that a refused request needs; it returns to this page.
 * @param {Response | Reported} response A response of `apiFetch`, or one that was reported.
 * @returns {string | null} null if the request was not refused for that reason.
 */
export declare function stepUpURL(response: Response | Reported): string | null;
