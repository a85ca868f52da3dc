import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { apiJSON } from "/auth/client.js";
import { Refused } from "./Refused";
import { Button, List, Quiet, Row } from "./ui";

interface Device { id: string; current: boolean; browser: string; created_at: number; last_seen_at: number }

const when = (seconds: number) =>
  new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

export default function Devices() {
  const client = useQueryClient();
  const devices = useQuery({
    queryKey: ["devices"],
    queryFn: ({ signal }) => apiJSON<{ sessions: Device[] }>("/auth/sessions", { signal }),
  });
  const ending = useMutation({
    mutationFn: (id: string) => apiJSON<null>(`/auth/sessions${id && `/${id}`}`, { method: "DELETE" }),
    onSettled: () => client.invalidateQueries({ queryKey: ["devices"] }),
  });
  const others = devices.data?.sessions.filter(({ current }) => !current) ?? [];
  return (
    <>
      <List>
        {devices.data?.sessions.map((one) => (
          <li key={one.id}>
            <Row>
              <span>
                {one.browser}{one.current && " (this one)"}<br />
                <Quiet>Signed in {when(one.created_at)}, last seen {when(one.last_seen_at)}</Quiet>
              </span>
              {!one.current && (
                <Button
                  aria-label={`Sign out ${one.browser}, signed in ${when(one.created_at)}`}
                  disabled={ending.isPending} onClick={() => ending.mutate(one.id)}
                >Sign out</Button>
              )}
            </Row>
          </li>
        ))}
      </List>
      {others.length > 1 && (
        <Button disabled={ending.isPending} onClick={() => ending.mutate("")}>Sign out all others</Button>
      )}
      <Refused error={ending.error ?? devices.error} />
    </>
  );
}
