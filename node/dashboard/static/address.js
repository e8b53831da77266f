// An account: where it lives, what it has, and what the newest blocks say of it.

import { hex } from "./blocks.js";
import { h, put } from "./dom.js";
import { loaded } from "./explorer.js";
import { grouped, number, plural } from "./format.js";
import { to } from "./routes.js";
import { data } from "./transaction.js";
import { addressLink, ethAmount, facts, failure, hashLink, notice, panel, pill, shardTag, table } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

const SEARCHED = 100;
const AT_ONCE = 20;
const DELEGATION = "0xef0100";

/** @param {Live} live @param {string} address */
export function address(live, address) {
  const { connection } = live;
  const recent = panel("Recent activity", activity(live, address));
  return loaded(
    `Address ${address.slice(0, 10)}…`,
    h("article"),
    async (again) => {
      again(3000);
      const [home, balance, nonce, pending, code] = await Promise.all([
        connection.call("atoll_home", [address]),
        connection.call("eth_getBalance", [address, "latest"]),
        connection.call("eth_getTransactionCount", [address, "latest"]),
        connection.call("eth_getTransactionCount", [address, "pending"]),
        connection.call("eth_getCode", [address, "latest"]),
      ]);
      const name = live.nameOf(address);
      const waiting = number(pending) - number(nonce);
      return [
        h("header", { class: "heading" }, h("h1", { tabindex: "-1" }, "Address"), name && pill(`validator ${name}`)),
        panel(
          "Account",
          facts([
            ["Address", hashLink(address, to.address(address), { full: true, what: "address" })],
            ["Home", shardTag(number(home))],
            ["Balance", ethAmount(balance, { copy: true, places: 18 })],
            ["Nonce", `${grouped(number(nonce))}${waiting > 0 ? `, and ${plural(waiting, "transaction")} in the pool` : ""}`],
            ["Kind", code === "0x" ? "account" : code.startsWith(DELEGATION) ? ["delegates to ", addressLink(`0x${code.slice(8)}`)] : `contract of ${plural((code.length - 2) / 2, "byte")}`],
          ]),
        ),
        recent,
        code !== "0x" && panel("Code", data(code)),
      ].filter(Boolean);
    },
    () => notice("No such address"),
  );
}

/** What the newest network blocks have of an address: nodes keep no index by address. @param {Live} live @param {string} address */
function activity(live, address) {
  const list = h("div");
  const button = h("button", { type: "button", onclick: () => more() }, `Search the last ${SEARCHED} blocks`);
  const hint = h("p", { class: "hint" }, "Nodes keep no index by address. ");
  /** @type {any[]} */
  const found = [];
  let next = /** @type {number | null} */ (null);

  async function more() {
    button.disabled = true;
    try {
      const head = number(await live.connection.call("eth_blockNumber"));
      const first = next ?? head;
      const last = Math.max(0, first - SEARCHED + 1);
      for (let from = first; from >= last; from -= AT_ONCE) {
        const numbers = Array.from({ length: Math.min(AT_ONCE, from - last + 1) }, (_, i) => from - i);
        const blocks = await Promise.all(numbers.map((n) => live.connection.call("eth_getBlockByNumber", [hex(n), true])));
        for (const block of blocks) {
          const own = (block?.transactions ?? []).filter((/** @type {any} */ tx) => tx.from === address || tx.to === address);
          found.push(...own.reverse());
        }
      }
      next = last - 1;
      put(list, rows(address, found));
      hint.textContent = `Network blocks ${grouped(Math.max(0, last))} to ${grouped(head)} were searched. `;
      button.textContent = `Search ${SEARCHED} more`;
      button.hidden = next < 0;
    } catch (error) {
      put(list, failure(error));
    }
    button.disabled = false;
  }

  return [hint, button, list];
}

/** @param {string} address @param {any[]} all */
function rows(address, all) {
  return table(
    ["Block", "Hash", "", "With", "Value"],
    all.map((tx) => {
      const arrival = number(tx.type) === 0x7d;
      const out = tx.from === address;
      return [
        h("a", { href: to.block(number(tx.blockNumber)) }, grouped(number(tx.blockNumber))),
        hashLink(tx.hash, arrival ? to.message(tx.hash) : to.transaction(tx.hash), { what: "hash" }),
        out ? pill("out") : pill("in", "good"),
        addressLink(out ? tx.to : tx.from),
        ethAmount(tx.value),
      ];
    }),
    { caption: "Recent activity", numeric: [0, 4], empty: "Nothing of this address in these blocks." },
  );
}
