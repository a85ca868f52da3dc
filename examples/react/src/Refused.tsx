import { ProblemError } from "/auth/client.js";
import { inWords } from "./queries";
import { Notice } from "./ui";

/** What failed; with a link where a sign-in helps. It comes back to this very page, on the user's click only. */
export function Refused({ error }: { error: Error | null }) {
  if (!error) return null;
  const url = error instanceof ProblemError ? error.login_url : null;
  return (
    <Notice role="alert">
      {inWords(error)} {url && <a href={url}>Sign in again</a>}
    </Notice>
  );
}
