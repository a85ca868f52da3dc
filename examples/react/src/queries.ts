/** How does the app ask its API, and what does it say when that fails? */

import { QueryClient } from "@tanstack/react-query";
import { ProblemError } from "/auth/client.js";

export const AGAIN_MILLISECONDS = 3_000;

/** An outage passes; what was refused is refused again. */
export const mayPass = (error: Error) => !(error instanceof ProblemError) || error.status >= 500;

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (count, error) => count < 1 && mayPass(error),
      // The page recovers by itself.
      refetchInterval: ({ state }) => state.error !== null && mayPass(state.error) && AGAIN_MILLISECONDS,
    },
  },
});

/** Where the network fails, the browser's own words differ ("Failed to fetch", "Load failed"). */
export function inWords(error: Error): string {
  return error instanceof ProblemError ? error.message : "The server can't be reached.";
}
