import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { profile } from "/auth/client.js";
import { PROFILE } from "./session";
import { Quiet } from "./ui";

const SOON_SECONDS = 120;

/** How long the session lasts if nothing happens, counted from the last profile. */
export function TimeLeft({ seconds, readAt }: { seconds: number; readAt: number }) {
  const client = useQueryClient();
  const [now, setNow] = useState(Date.now);
  const left = Math.max(0, Math.round(seconds - Math.max(0, now - readAt) / 1000));
  const isOver = left === 0;
  useEffect(() => {
    const clock = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(clock);
  }, []);
  useEffect(() => {
    // The server decides whether it has ended.
    if (isOver) void client.invalidateQueries({ queryKey: PROFILE });
  }, [isOver, client]);
  const stay = () => client.fetchQuery({ queryKey: PROFILE, queryFn: () => profile({ slide: true }) }).catch(() => null);
  return (
    <span>
      <Quiet>Signed in for another {inWords(left)}</Quiet>{" "}
      {left < SOON_SECONDS && <button type="button" onClick={stay}>Stay signed in</button>}
    </span>
  );
}

function inWords(seconds: number): string {
  if (seconds >= 86_400) return `${Math.floor(seconds / 86_400)} days`;
  if (seconds >= 3_600) return `${Math.floor(seconds / 3_600)} hours`;
  return seconds >= 60 ? `${Math.floor(seconds / 60)} minutes` : `${seconds} seconds`;
}
