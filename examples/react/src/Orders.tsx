import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { apiJSON } from "/auth/client.js";
import { inWords } from "./queries";
import { Button, List, Notice, Row } from "./ui";

interface Item { id: number; title: string }

export default function Orders() {
  const client = useQueryClient();
  const [title, setTitle] = useState("");
  const orders = useQuery({
    queryKey: ["items"],
    queryFn: ({ signal }) => apiJSON<{ items: Item[] }>("/api/items", { signal }),
  });
  const adding = useMutation({
    mutationFn: (wanted: string) => apiJSON<Item>("/api/items", {
      method: "POST", body: JSON.stringify({ title: wanted }), headers: { "Content-Type": "application/json" },
    }),
    onSuccess: () => {
      setTitle("");
      return client.invalidateQueries({ queryKey: ["items"] });
    },
  });
  const add = (event: FormEvent) => {
    event.preventDefault();
    adding.mutate(title);
  };
  const problem = adding.error ?? orders.error;
  return (
    <>
      {problem && <Notice role="alert">{inWords(problem)}</Notice>}
      <form onSubmit={add}>
        <Row>
          <label>Order <input value={title} onChange={(event) => setTitle(event.target.value)} required /></label>
          <Button disabled={adding.isPending}>Add</Button>
        </Row>
      </form>
      {orders.data?.items.length === 0 && <p>No orders yet.</p>}
      <List>{orders.data?.items.map((item) => <li key={item.id}>{item.title}</li>)}</List>
    </>
  );
}
