// A network block, and a block of a shard.

import { h } from "./dom.js";
import { loaded } from "./explorer.js";
import { clock, gwei, grouped, number } from "./format.js";
import { to } from "./routes.js";
import { addressLink, ethAmount, facts, hashLink, notice, panel, pill, shardTag, table } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

const ARRIVAL = 0x7d;
const SHOWN = 500;

/** @param {Live} live @param {number} height */
export function networkBlock(live, height) {
  const ref = hex(height);
  const { connection } = live;
  return loaded(
    `Block ${height}`,
    h("article"),
    async (again) => {
      const block = await connection.call("eth_getBlockByNumber", [ref, true]);
      if (!block) {
        again();
        return null;
      }
      const [{ crosslinks: links }, votes] = await Promise.all([connection.call("atoll_networkBlock", [ref]), connection.call("atoll_votes", [ref, 1])]);
      return [
        heading(`Network block ${grouped(height)}`, height > 0 && to.block(height - 1), to.block(height + 1)),
        panel("Block", facts([...common(live, block), ["Shard blocks", grouped(links.length)]])),
        panel(
          "Shard blocks it made final",
          table(["Shard", "Block", "Hash", "Gas used"], links.map((/** @type {any} */ link) => [shardTag(link.shard), h("a", { href: to.shardBlock(link.shard, link.height) }, grouped(link.height)), hashLink(link.hash, to.shardBlock(link.shard, link.height)), grouped(link.gasUsed)]), { caption: "Shard blocks it made final", numeric: [1, 3], empty: "None: no shard had anything new." }),
        ),
        transactions(live, block.transactions),
        ballots(live, votes),
      ];
    },
    () => notice(`There is no network block ${grouped(height)} yet`, `The newest is ${live.head ? grouped(live.head.number) : "not known"}. This page shows it when it is there.`),
  );
}

/** @param {Live} live @param {number} shard @param {number} height */
export function shardBlock(live, shard, height) {
  const ref = hex(height);
  const { connection } = live;
  return loaded(
    `Shard ${shard}, block ${height}`,
    h("article"),
    async (again) => {
      const [block] = await connection.ofShard(shard, [["eth_getBlockByNumber", [ref, true]]]);
      if (!block) {
        again();
        return null;
      }
      const brief = await connection.call("atoll_shardBlock", [shard, ref]);
      const final = brief.networkBlock;
      if (final === null) again();
      const votes = final ? await connection.call("atoll_votes", [hex(final), 1]) : [];
      return [
        heading(h("span", null, shardTag(shard), ` block ${grouped(height)}`), height > 0 && to.shardBlock(shard, height - 1), to.shardBlock(shard, height + 1)),
        panel(
          "Block",
          facts([
            ["Status", final === null ? pill("decided, not final yet", "wait") : pill("final", "good")],
            ["Network block", final === null ? null : h("a", { href: to.block(final) }, grouped(final))],
            ...common(live, block),
            ["Anchored to", brief.anchor === null ? null : h("a", { href: to.block(brief.anchor) }, `network block ${grouped(brief.anchor)}`)],
          ]),
        ),
        transactions(live, block.transactions),
        ballots(live, votes.filter((/** @type {any} */ row) => row.shard === shard && row.height === height)),
      ];
    },
    () => notice(`Shard ${shard} has no block ${grouped(height)} yet`, "This page shows it when it is there."),
  );
}

/** @param {number} value */
export function hex(value) {
  return `0x${value.toString(16)}`;
}

/** @param {any} title @param {string | false} before @param {string} after */
function heading(title, before, after) {
  return h("header", { class: "heading" }, h("h1", { tabindex: "-1" }, title), h("nav", { "aria-label": "Neighbours" }, before && h("a", { class: "button", href: before, rel: "prev" }, "← Previous"), h("a", { class: "button", href: after, rel: "next" }, "Next →")));
}

/** @param {Live} live @param {any} block */
function common(live, block) {
  const used = number(block.gasUsed);
  const limit = number(block.gasLimit);
  const name = live.nameOf(block.miner);
  return [
    ["Time", clock(number(block.timestamp))],
    ["Hash", hashLink(block.hash, location.hash, { full: true, what: "block hash" })],
    ["Parent", h("code", { class: "long" }, block.parentHash)],
    ["Proposer", addressLink(block.miner, { name })],
    ["Gas", `${grouped(used)} of ${grouped(limit)} (${limit ? Math.round((100 * used) / limit) : 0} %)`],
    ["Base fee", block.baseFeePerGas ? `${gwei(block.baseFeePerGas)} gwei` : null],
    ["State root", h("code", { class: "long" }, block.stateRoot)],
    ["Transactions", grouped(block.transactions.length)],
  ];
}

/** @param {Live} live @param {any[]} all */
function transactions(live, all) {
  const rows = all.slice(0, SHOWN).map((tx) => {
    const arrival = number(tx.type) === ARRIVAL;
    return [
      number(tx.transactionIndex),
      arrival ? hashLink(tx.hash, to.message(tx.hash), { what: "message id" }) : hashLink(tx.hash, to.transaction(tx.hash), { what: "transaction hash" }),
      arrival ? pill("message") : pill(kind(number(tx.type))),
      addressLink(tx.from, { name: live.nameOf(tx.from) }),
      addressLink(tx.to),
      ethAmount(tx.value),
    ];
  });
  const more = all.length > SHOWN && h("p", { class: "hint" }, `The first ${SHOWN} of ${grouped(all.length)} are shown.`);
  return panel("Transactions", table(["#", "Hash", "Type", "From", "To", "Value"], rows, { caption: "Transactions", numeric: [0, 5], empty: "This block has no transactions." }), more);
}

/** @param {number} type */
export function kind(type) {
  const names = /** @type {Record<number, string>} */ ({ 0: "legacy", 1: "access list", 2: "transaction", 4: "set code", 0x7b: "impersonated", 0x7c: "development", 0x7d: "message", 0x7e: "beacon" });
  return names[type] ?? `type ${type}`;
}

/** @param {Live} live @param {any[]} decisions */
function ballots(live, decisions) {
  const rows = decisions.map((row) => {
    const voted = row.votes.filter((/** @type {any} */ vote) => vote.voted);
    const power = voted.reduce((/** @type {bigint} */ sum, /** @type {any} */ vote) => sum + BigInt(vote.power), 0n);
    const name = (/** @type {string} */ address) => live.nameOf(address) ?? `${address.slice(0, 8)}…`;
    return [
      row.shard === null ? "Beacon" : shardTag(row.shard),
      grouped(row.height),
      row.round,
      name(row.proposer),
      voted.map((/** @type {any} */ vote) => name(vote.address)).join(", "),
      `${(100n * power) / BigInt(row.power)} %`,
    ];
  });
  return panel("Certificates", table(["Chain", "Height", "Round", "Proposer", "Votes in the certificate", "Stake"], rows, { caption: "Certificates", numeric: [1, 2, 5], empty: "The genesis has none; a block has one when the beacon has taken it in." }));
}
