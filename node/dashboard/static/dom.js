// Elements by function, and lists that keep the elements they already have.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */

/**
 * An HTML element. Attributes named on* are listeners, `false`, null and undefined leave one out.
 * @param {string} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * The same in SVG.
 * @param {string} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...any} children
 * @returns {any}
 */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * @param {Element} element
 * @param {Record<string, any> | null | undefined} attributes
 * @param {Child[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else set(element, name, value);
  }
  add(element, children);
  return element;
}

/**
 * Set an attribute if it is another than before.
 * @param {Element} element
 * @param {string} name
 * @param {any} value false, null and undefined remove it
 */
export function set(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : String(value));
}

/** @param {Element} element @param {Child[]} children */
function add(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false) element.append(String(child));
  }
}

/** New content for an element. @param {Element} element @param {...any} children */
export function put(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/**
 * New content of the same form: what had the focus, was open or was scrolled, is so again, by its place.
 * @param {Element} element
 * @param {...any} children
 */
export function renew(element, ...children) {
  const all = (/** @type {string} */ selector) => /** @type {any[]} */ ([...element.querySelectorAll(selector)]);
  const focusable = "a[href], button, summary, input, [tabindex]";
  const focused = all(focusable).indexOf(document.activeElement);
  const open = all("details").map((details) => details.open);
  const scrolled = all(".scroll, pre").map((part) => [part.scrollLeft, part.scrollTop]);
  put(element, ...children);
  all("details").forEach((details, i) => (details.open = open[i] ?? details.open));
  all(".scroll, pre").forEach((part, i) => part.scrollTo(...(scrolled[i] ?? [0, 0])));
  if (focused >= 0) all(focusable)[focused]?.focus({ preventScroll: true });
}

/** New text, if it is another. @param {Element} element @param {string | number} text */
export function say(element, text) {
  if (element.textContent !== String(text)) element.textContent = String(text);
}

/**
 * Make the children of `parent` those of `items`, in order, keeping the element of every key that stays: it
 * keeps focus and goes on with its transition.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => Element} make
 * @param {(element: any, item: T) => void} update
 */
export function keep(parent, items, key, make, update) {
  const cache = /** @type {any} */ (parent);
  const before = /** @type {Map<string, Element>} */ (cache.kept ?? new Map());
  const after = new Map();
  const names = new Set(items.map(key));
  for (const [name, element] of before) if (!names.has(name)) element.remove();
  const focused = /** @type {any} */ (parent.contains(document.activeElement) ? document.activeElement : null);
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const element = before.get(name) ?? make(item);
    update(element, item);
    after.set(name, element);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  cache.kept = after;
  if (focused !== document.activeElement) focused?.focus({ preventScroll: true }); // moving it took that away
}

/**
 * Calls `draw` once per frame at most, however often it is asked to.
 * @param {() => void} draw
 */
export function coalesced(draw, interval = 0) {
  let asked = false;
  let last = -Infinity;
  const frame = (/** @type {number} */ now) => {
    if (now - last < interval) {
      requestAnimationFrame(frame);
      return;
    }
    asked = false;
    last = now;
    draw();
  };
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(frame);
  };
}
