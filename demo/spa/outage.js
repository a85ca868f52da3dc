/** What does the page say when something can't be reached, and when does it try that again? */

import { ProblemError } from "/auth/client.js";

const AGAIN_SECONDS = 3;
const AGAIN_AT_MOST_SECONDS = 60;

/** What waits for its next try, by name. @type {Map<string, {action: () => unknown, timer: number}>} */
const waiting = new Map();

/** Whether it may pass without the user: no network, no server, an outage. @param {Error} error */
export function mayPass(error) {
  return !(error instanceof ProblemError) || error.status >= 500 || error.status === 429;
}

/** The browsers' own words ("Failed to fetch", "Load failed") say nothing. @param {Error} error */
export function inWords(error) {
  if (!(error instanceof ProblemError)) {
    return navigator.onLine ? "The server can’t be reached." : "You are offline.";
  }
  const words = [error.title, error.detail].filter(Boolean).join(" ");
  return words || "The server doesn’t answer as it should.";
}

/**
 * Do *action* again in a while, or as soon as the network is back.
 * @param {string} name Of what waits; another action of this name is replaced.
 * @param {() => unknown} action
 * @param {any} [error] Why it failed; its `Retry-After` counts.
 */
export function tryAgainLater(name, action, error) {
  stopTrying(name);
  const asked = error?.retry_after_seconds ?? 0;
  const seconds = Math.min(Math.max(AGAIN_SECONDS, asked), AGAIN_AT_MOST_SECONDS);
  waiting.set(name, { action, timer: setTimeout(() => runNow(name), seconds * 1000) });
}

/** @param {string} name */
export function stopTrying(name) {
  clearTimeout(waiting.get(name)?.timer);
  waiting.delete(name);
}

/** @param {string} name */
function runNow(name) {
  const { action } = waiting.get(name);
  stopTrying(name);
  action();
}

addEventListener("online", () => [...waiting.keys()].forEach(runNow));
