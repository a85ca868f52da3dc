/** Who is signed in? */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { profile, session, type Profile } from "/auth/client.js";
import { AGAIN_MILLISECONDS } from "./queries";

export const PROFILE = ["profile"];
const LOOK_MILLISECONDS = 60_000;
const REASONS: Record<string, string> = {
  signed_out: "You signed out in another tab.",
  session_missing: "You are not signed in any more.",
};

/** The profile (`undefined`: not known, `null`: nobody), what failed, and how the last session ended. */
export function useSession() {
  const client = useQueryClient();
  const [ended, setEnded] = useState("");

  useEffect(() => {
    const leaving = new AbortController();
    const { signal } = leaving;
    const replace = (me: Profile | null, why = "") => {
      // Nothing of another user may stay on the page, or in the cache.
      client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== PROFILE[0] });
      client.getMutationCache().clear();
      client.setQueryData(PROFILE, me);
      setEnded(why);
    };
    session.addEventListener(
      "session-ended", ({ detail }) => replace(null, REASONS[detail.reason] ?? "Your session has ended."), { signal });
    session.addEventListener("session-began", ({ detail }) => replace(detail.profile), { signal });
    session.addEventListener("session-changed", ({ detail }) => {
      if (detail.same_user) client.setQueryData(PROFILE, detail.profile);
      else replace(detail.profile);
    }, { signal });
    return () => leaving.abort();
  }, [client]);

  const { data: me, error, dataUpdatedAt: readAt } = useQuery({
    queryKey: PROFILE,
    queryFn: () => profile(),
    // Reading the profile doesn't extend the session, and finds out that it was ended from outside.
    refetchInterval: ({ state }) => (state.error ? AGAIN_MILLISECONDS : LOOK_MILLISECONDS),
  });
  return { me, error, readAt, ended };
}
