/**
 * For the page that says `cookies_unreadable`: removes only the cookies that aren't ASCII, and opens
 * the same address again. What a script can't see (`HttpOnly`) is left to the form, whose response
 * removes all cookies (`bff/web/cookie_removal.py`).
 */
const isForeign = (pair) => /[^\x20-\x7e]/.test(pair);
const pairs = () => document.cookie.split(/; ?/).filter(Boolean);

function remove(pair) {
  // A cookie without a name has no `=`, and needs a value to be replaced.
  const target = pair.includes("=") ? pair.slice(0, pair.indexOf("=") + 1) : "gone";
  const labels = location.hostname.split(".");
  const segments = location.pathname.split("/");
  const domains = ["", ...labels.map((_, index) => `; Domain=${labels.slice(index).join(".")}`)];
  const paths = segments.flatMap((_, index) => {
    const path = segments.slice(0, index + 1).join("/");
    return [path || "/", `${path}/`];
  });
  for (const domain of domains) {
    for (const path of paths) document.cookie = `${target}; Max-Age=0; Path=${path}${domain}`;
  }
}

document.querySelector("form")?.addEventListener("submit", (event) => {
  const foreign = pairs().filter(isForeign);
  foreign.forEach(remove);
  if (foreign.length === 0 || pairs().some(isForeign)) return;
  event.preventDefault();
  location.replace(location.href);
});
