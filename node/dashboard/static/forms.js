// Forms that do one thing.

import { h, put } from "./dom.js";
import { failure, panel } from "./ui.js";

/**
 * A form that does one thing and tells what came of it.
 * @param {string} title @param {string} what @param {any[]} fields @param {string} label
 * @param {() => Promise<Node | string>} act
 */
export function tool(title, what, fields, label, act) {
  const button = h("button", { type: "submit", class: "primary" }, label);
  const outcome = h("div", { class: "outcome", "aria-live": "polite" });
  const form = h("form", { onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    put(outcome, h("p", { class: "muted" }, "Working…"));
    try {
      put(outcome, h("p", { class: "done" }, await act()));
    } catch (error) {
      put(outcome, failure(error));
    }
    button.disabled = false;
  } }, fields, h("div", { class: "buttons" }, button));
  return panel(title, h("p", { class: "hint" }, what), form, outcome);
}

let serial = 0;

/** A control with its label. @param {string} label @param {any} control */
export function field(label, control) {
  serial += 1;
  control.id = `field-${serial}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
}
