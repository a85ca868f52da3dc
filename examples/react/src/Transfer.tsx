import { useMutation } from "@tanstack/react-query";
import { apiJSON } from "/auth/client.js";
import { Refused } from "./Refused";
import { Button } from "./ui";

export default function Transfer() {
  const transfer = useMutation({
    mutationFn: () => apiJSON<{ transferred: boolean }>("/api/transfer", { method: "POST" }),
  });
  return (
    <>
      <p>A transfer takes a second factor.</p>
      <Button onClick={() => transfer.mutate()} disabled={transfer.isPending}>Transfer</Button>
      {transfer.data && <p role="status">Transferred.</p>}
      <Refused error={transfer.error} />
    </>
  );
}
