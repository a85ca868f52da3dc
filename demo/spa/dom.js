/** How does this app change the page? Text is inserted as text; innerHTML is never used. */

/** @param {string} id @returns {HTMLElement} */
export const byTestId = (id) => document.querySelector(`[data-testid="${id}"]`);

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Put *text* into every element marked `data-field="name"`. */
export function fill(name, text) {
  for (const field of document.querySelectorAll(`[data-field="${name}"]`)) field.textContent = text;
}

/** Show one of the states `loading`, `in`, `out`, `outage`, by CSS. */
export function showState(state) {
  document.body.dataset.state = state;
}

/** Show a message at the top of the page, also to screen readers, until the next one. */
export function notify(text, kind = "info") {
  tell("notice", text, kind);
}

/** Show *text* in the notice with this id; without a text, hide it. */
export function tell(id, text, kind = "info") {
  const notice = document.getElementById(id);
  // Said once, and not again by each try.
  if (notice.textContent !== text) notice.textContent = text;
  notice.dataset.kind = kind;
  notice.classList.toggle("is-shown", text !== "");
}

/** A term and its description, for a `<dl>`. */
export function row(term, ...description) {
  return element("div", {}, element("dt", {}, term), element("dd", {}, ...description));
}
