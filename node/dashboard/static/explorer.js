// What the views of blocks, transactions, messages and addresses have in common.

import { put, renew } from "./dom.js";
import { failure, notice } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */
/**
 * A view on the page. `update` is called about twice a second, `fresh` after every change of the network.
 * @typedef {{node: HTMLElement, title: string, update?: () => void, fresh?: () => void,
 *   stop?: () => void, keys?: Record<string, () => void>}} View
 */

const AGAIN = 1000;

/**
 * A view of something that is asked for: `load` gives its content, null where there is no such thing, and
 * says with `again` that it may look different in a moment (milliseconds).
 * @param {string} title
 * @param {HTMLElement} node
 * @param {(again: (wait?: number) => void) => Promise<Node | Node[] | null>} load
 * @param {() => Node} missing
 * @returns {View}
 */
export function loaded(title, node, load, missing) {
  let stopped = false;
  let timer = 0;
  let shown = "";
  put(node, notice("Asking the node…"));
  const show = async () => {
    let wait = 0;
    try {
      const content = await load((soon = AGAIN) => (wait = soon));
      if (stopped) return;
      const next = content ?? missing();
      const text = (Array.isArray(next) ? next : [next]).map((part) => /** @type {any} */ (part).outerHTML).join();
      if (text !== shown) {
        shown = text;
        renew(node, next);
      }
    } catch (error) {
      if (stopped) return;
      shown = "";
      put(node, failure(error));
      wait = AGAIN;
    }
    if (wait && !stopped) timer = window.setTimeout(show, wait);
  };
  show();
  return {
    node,
    title,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
