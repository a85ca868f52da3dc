import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { login, logout, type Profile } from "/auth/client.js";
import { ChunkBoundary } from "./ChunkBoundary";
import { inWords } from "./queries";
import { useSession } from "./session";
import { TimeLeft } from "./TimeLeft";
import { Bar, Button, Everywhere, Navigation, Notice, Page } from "./ui";

const PAGES = {
  orders: { title: "Orders", Content: lazy(() => import("./Orders")) },
  transfer: { title: "Transfer", Content: lazy(() => import("./Transfer")) },
  devices: { title: "Devices", Content: lazy(() => import("./Devices")) },
};
type Name = keyof typeof PAGES;

export default function App() {
  const { me, error, readAt, ended } = useSession();
  const [problem, setProblem] = useState("");
  const [isLeaving, setLeaving] = useState(false);
  const signOut = async () => {
    setLeaving(true);
    await logout().catch((reason: Error) => {
      setLeaving(false);
      setProblem(`You are not signed out. ${inWords(reason)}`);
    });
  };
  const isOnline = useSyncExternalStore(subscribeToNetwork, () => navigator.onLine);
  const outage = isOnline ? error && `${inWords(error)} This page tries again by itself.` : "You are offline.";
  // What the page asks for is refused by now, and would be told as an error.
  if (isLeaving) return <Page><Everywhere /><p>Signing out…</p></Page>;
  return (
    <>
      <Everywhere />
      {outage && <Notice role="status">{outage}</Notice>}
      {ended && <Notice role="status">{ended}</Notice>}
      {me === undefined && !outage && <Page><p>One moment…</p></Page>}
      {me === undefined && outage && <Page><h1>Orders</h1></Page>}
      {me === null && (
        <Page>
          <h1>Orders</h1>
          <p>Sign in to see yours.</p>
          <Button onClick={() => login()}>Sign in</Button>
        </Page>
      )}
      {me && problem && <Notice role="alert">{problem}</Notice>}
      {me && <SignedIn me={me} readAt={readAt} signOut={signOut} key={me.user.sub} />}
    </>
  );
}

function SignedIn({ me, readAt, signOut }: { me: Profile; readAt: number; signOut: () => void }) {
  const current = usePageName();
  const { title, Content } = PAGES[current];
  return (
    <>
      <Bar>
        <strong>{me.user.name ?? me.user.email ?? me.user.sub}</strong>
        <TimeLeft seconds={Math.min(me.session.idle_seconds_left, me.session.absolute_seconds_left)} readAt={readAt} />
        <Button onClick={signOut}>Sign out</Button>
      </Bar>
      <Navigation aria-label="Pages">
        {Object.entries(PAGES).map(([name, page]) => (
          <a key={name} href={`#${name}`} aria-current={name === current ? "page" : undefined}>{page.title}</a>
        ))}
      </Navigation>
      <Page>
        <h1>{title}</h1>
        <ChunkBoundary key={current}>
          <Suspense fallback={<p>One moment…</p>}><Content /></Suspense>
        </ChunkBoundary>
      </Page>
    </>
  );
}

function subscribeToNetwork(changed: () => void) {
  addEventListener("online", changed);
  addEventListener("offline", changed);
  return () => {
    removeEventListener("online", changed);
    removeEventListener("offline", changed);
  };
}

/** The page that the fragment names; a sign-in comes back to it, since it is part of the address. */
function usePageName(): Name {
  const read = () => location.hash.slice(1);
  const [name, setName] = useState(read);
  useEffect(() => {
    const changed = () => setName(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return name in PAGES ? (name as Name) : "orders";
}
