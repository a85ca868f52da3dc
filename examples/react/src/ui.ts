/** How does the app look? */

import styled, { createGlobalStyle } from "styled-components";

export const Everywhere = createGlobalStyle`
  :root {
    color-scheme: light dark;
    --ground: light-dark(#f6f7fb, #14151a);
    --surface: light-dark(#ffffff, #1e2027);
    --text: light-dark(#1b1c22, #e8e9ee);
    --quiet: light-dark(#565a66, #a9aebb);
    --line: light-dark(#c9cdd8, #3b3f4b);
    --accent: light-dark(#1d4ed8, #9db8ff);
    --on-accent: light-dark(#ffffff, #14151a);
  }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
  a { color: var(--accent); }
  input { font: inherit; padding: 0.45rem 0.6rem; border: 1px solid var(--quiet); border-radius: 8px; max-width: 100%; }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
`;

export const Page = styled.main`
  max-width: 44rem; margin: 1.25rem auto; padding: 0 1rem; overflow-wrap: anywhere;
`;

export const Bar = styled.header`
  display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; justify-content: space-between;
  padding: 0.75rem 1rem; background: var(--surface); border-bottom: 1px solid var(--line);
`;

export const Navigation = styled.nav`
  display: flex; gap: 1.25rem; padding: 0.75rem 1rem; max-width: 44rem; margin: 0 auto;
  a[aria-current] { color: var(--text); font-weight: 600; text-decoration: none; }
`;

export const Button = styled.button`
  font: inherit; padding: 0.45rem 0.9rem; border: 0; border-radius: 8px; cursor: pointer;
  background: var(--accent); color: var(--on-accent);
  &:disabled { opacity: 0.6; cursor: progress; }
`;

export const Notice = styled.p`
  max-width: 42rem; margin: 1rem auto; padding: 0.75rem 1rem; border-left: 4px solid var(--accent);
  background: var(--surface);
`;

export const Row = styled.div`
  display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; justify-content: space-between;
`;

export const List = styled.ul`
  list-style: none; margin: 1rem 0; padding: 0;
  li { padding: 0.75rem 1rem; margin-bottom: 0.5rem; background: var(--surface); border-radius: 8px; }
`;

export const Quiet = styled.small`color: var(--quiet);`;
