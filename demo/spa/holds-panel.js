/** What could a script steal here? Everything in the browser that this page can read. */

import { byTestId, element, row } from "/dom.js";

const panel = byTestId("browser-holds");

/** Make "Look again" work. */
export function wireHoldsPanel() {
  byTestId("holds-refresh").addEventListener("click", lookAtBrowser);
}

/** Read the browser's storage and show what was found. */
export async function lookAtBrowser() {
  const findings = [
    ["Cookies", document.cookie === "" ? 0 : 1, document.cookie || "None readable"],
    ["Local storage", localStorage.length, count(localStorage.length, "entry", "entries")],
    ["Session storage", sessionStorage.length, count(sessionStorage.length, "entry", "entries")],
    ["IndexedDB", ...(await listed(() => indexedDB.databases(), "database", "databases"))],
    ["Cache storage", ...(await listed(() => caches.keys(), "cache", "caches"))],
  ];
  panel.querySelector("dl").replaceChildren(...findings.map(finding));
}

async function listed(list, one, many) {
  try {
    const { length } = await list();
    return [length, count(length, one, many)];
  } catch {
    return [0, "Not available in this browser"];
  }
}

function count(number, one, many) {
  return number === 0 ? "Empty" : `${number} ${number === 1 ? one : many}`;
}

function finding([place, number, words]) {
  const kind = number === 0 ? "good" : "bad";
  return row(place, element("span", { class: `mark ${kind}` }, words));
}
