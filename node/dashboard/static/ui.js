// The small parts that views are made of.

import { h } from "./dom.js";
import { amount, ether, grouped, short } from "./format.js";
import { to } from "./routes.js";

/** Names of shards and their colours, see `--shard-*` in the style sheet. @param {number | null} shard */
export function shardClass(shard) {
  return shard === null ? "beacon" : `shard-${shard % 8}`;
}

/** @param {number | null} shard */
export function shardName(shard) {
  return shard === null ? "Beacon" : `Shard ${shard}`;
}

/** A shard with its colour and name. @param {number} shard */
export function shardTag(shard) {
  return h("span", { class: `tag ${shardClass(shard)}` }, h("i", { "aria-hidden": "true" }), shardName(shard));
}

/**
 * A button that copies a text, and says so.
 * @param {string} text
 * @param {string} what for those who do not see it: "address"
 */
export function copyButton(text, what) {
  const button = h("button", {
    type: "button",
    class: "copy",
    "aria-label": `Copy ${what}`,
    title: `Copy ${what}`,
    onclick: async () => {
      const done = await copy(text);
      button.classList.add(done ? "done" : "failed");
      announce(done ? `Copied ${what}` : `Could not copy: ${text}`);
      window.setTimeout(() => button.classList.remove("done", "failed"), 1200);
    },
  });
  return button;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages over plain http from another machine have no clipboard: the old way works there.
    const area = h("textarea", { class: "hidden", readonly: true }, text);
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Say something to those who listen to the page. @param {string} text */
export function announce(text) {
  const region = document.getElementById("announcements");
  if (region) region.textContent = text;
}

/**
 * A hash or an address as a link, cut to its ends unless `full`.
 * @param {string} hash
 * @param {string} href
 */
export function hashLink(hash, href, { full = false, what = "hash", name = "" } = {}) {
  return h(
    "span",
    { class: "hash" },
    h("a", { href, title: hash }, name || (full ? hash : short(hash))),
    copyButton(hash, what),
  );
}

/** @param {string | null} address @param {{full?: boolean, name?: string | null}} [options] */
export function addressLink(address, { full = false, name = null } = {}) {
  if (!address) return h("span", { class: "muted" }, "a new contract");
  return hashLink(address, to.address(address), { full, what: "address", name: name ?? "" });
}

/** An amount in ETH, with all its wei to see and to copy. @param {string | bigint} wei */
export function ethAmount(wei, { copy: copyable = false, places = 6 } = {}) {
  const value = BigInt(wei);
  return h(
    "span",
    { class: "amount", title: `${ether(value)} ETH = ${grouped(value)} wei` },
    h("b", null, amount(value, places)),
    " ETH",
    copyable && copyButton(value.toString(), "wei"),
  );
}

/** @param {string} text @param {"good" | "bad" | "wait" | "plain"} mood */
export function pill(text, mood = "plain") {
  return h("span", { class: `pill ${mood}` }, text);
}

/** A list of facts: [name, value] of which those without a value are left out. @param {any[][]} rows */
export function facts(rows) {
  return h(
    "dl",
    { class: "facts" },
    rows.filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => [
      h("dt", null, name),
      h("dd", null, value),
    ]),
  );
}

/**
 * @param {string[]} head
 * @param {any[][]} rows
 * @param {{caption: string, numeric?: number[], empty?: string}} options
 */
export function table(head, rows, { caption, numeric = [], empty = "Nothing here." }) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  const side = (/** @type {number} */ i) => numeric.includes(i) && "number";
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      null,
      h("caption", { class: "sr" }, caption),
      h("thead", null, h("tr", null, head.map((name, i) => h("th", { scope: "col", class: side(i) }, name)))),
      h(
        "tbody",
        null,
        rows.map((row) => h("tr", null, row.map((cell, i) => h("td", { class: side(i) }, cell)))),
      ),
    ),
  );
}

/**
 * @param {string} title
 * @param {...any} content
 */
export function panel(title, ...content) {
  const id = `panel-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), content);
}

/** Why there is nothing to see, and what to do. @param {string} title @param {...any} more */
export function notice(title, ...more) {
  return h("div", { class: "notice", role: "status" }, h("h2", null, title), more.map((line) => h("p", null, line)));
}

/** @param {unknown} error */
export function failure(error) {
  const message = error instanceof Error ? error.message : String(error);
  return h("div", { class: "notice bad", role: "alert" }, h("h2", null, "That did not work"), h("p", null, message));
}
