// A transaction and all that it caused on all shards.

import { h } from "./dom.js";
import { loaded } from "./explorer.js";
import { kind } from "./blocks.js";
import { asText, clock, gwei, grouped, number, plural } from "./format.js";
import { to } from "./routes.js";
import { addressLink, ethAmount, facts, hashLink, notice, panel, pill, shardTag, table } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

/** @param {Live} live @param {string} hash */
export function transaction(live, hash) {
  const { connection } = live;
  return loaded(
    `Transaction ${hash.slice(0, 10)}…`,
    h("article"),
    async (again) => {
      const [tx, receipt, trace] = await Promise.all([
        connection.call("eth_getTransactionByHash", [hash]),
        connection.call("eth_getTransactionReceipt", [hash]),
        connection.call("atoll_trace", [hash]).catch(() => null),
      ]);
      if (!tx && !trace) {
        again();
        return null;
      }
      if (!receipt || (trace && !trace.complete)) again();
      const failed = receipt && !number(receipt.status);
      const reason = failed ? await connection.call("atoll_reason", [hash]).catch(() => null) : null;
      return [
        h("header", { class: "heading" }, h("h1", { tabindex: "-1" }, "Transaction")),
        panel("Details", tx ? facts(details(live, tx, receipt, reason)) : facts([["Hash", h("code", { class: "long" }, hash)], ["Status", pill("not final yet", "wait")]])),
        panel("What it caused", trace ? tree(trace) : h("p", { class: "empty" }, "Nothing on another shard.")),
        receipt && panel("Logs", logs(receipt.logs)),
        tx && tx.input !== "0x" && panel("Input", data(tx.input)),
      ].filter(Boolean);
    },
    () => notice("No transaction has this hash", hash, "Perhaps it has not reached a pool yet, or another network has it. This page looks again every second."),
  );
}

/** @param {Live} live @param {any} tx @param {any} receipt @param {any} reason */
function details(live, tx, receipt, reason) {
  const block = tx.blockNumber && number(tx.blockNumber);
  const price = receipt?.effectiveGasPrice ?? tx.gasPrice;
  return [
    ["Status", receipt ? (number(receipt.status) ? pill("succeeded", "good") : pill("failed", "bad")) : pill(block === null ? "in the pool" : "on its way", "wait")],
    ["Reason", reason ? [reason.reason, reason.at && [" · in ", addressLink(reason.at)]] : null],
    ["Hash", hashLink(tx.hash, to.transaction(tx.hash), { full: true, what: "transaction hash" })],
    ["Network block", block === null ? null : h("a", { href: to.block(block) }, `${grouped(block)} #${number(tx.transactionIndex ?? "0x0")}`)],
    ["Time", tx.blockTimestamp ? clock(number(tx.blockTimestamp)) : null],
    ["From", addressLink(tx.from, { full: true, name: live.nameOf(tx.from) })],
    ["To", addressLink(tx.to, { full: true })],
    ["Contract", receipt?.contractAddress ? addressLink(receipt.contractAddress, { full: true }) : null],
    ["Value", ethAmount(tx.value, { copy: true, places: 18 })],
    ["Gas", receipt ? `${grouped(number(receipt.gasUsed))} of ${grouped(number(tx.gas))}` : `at most ${grouped(number(tx.gas))}`],
    ["Gas price", `${gwei(price)} gwei`],
    ["Fee", receipt ? ethAmount(BigInt(receipt.gasUsed) * BigInt(price), { copy: true, places: 18 }) : null],
    ["Nonce", grouped(BigInt(tx.nonce))],
    ["Type", kind(number(tx.type))],
  ];
}

/** Every execution and message as a tree. @param {any} trace */
export function tree(trace) {
  const state = trace.complete ? pill("complete", "good") : pill(`${trace.underWay} under way`, "wait");
  return h("div", { class: "trace" }, h("p", null, state, ` ${plural(trace.messages, "message")}`, trace.truncated && ", of which not all are shown"), h("ul", { class: "tree" }, branch(trace.root)));
}

const MOODS = /** @type {Record<string, "good" | "bad" | "wait" | "plain">} */ ({ ok: "good", failed: "bad", departed: "plain", forwarded: "plain" });

/** @param {any} it */
function branch(it) {
  const message = it.kind !== "TRANSACTION" && it.kind !== "CREATE";
  const outcome = it.outcome ?? it.status;
  const way = it.src === it.shard || it.src === undefined || !message ? shardTag(it.shard) : [shardTag(it.src), " → ", shardTag(it.shard)];
  const place = it.block === null ? null : h("a", { href: to.shardBlock(it.shard, it.block) }, `block ${grouped(it.block)} #${it.index}`);
  const final = it.networkBlock === null ? null : [" · final in ", h("a", { href: to.block(it.networkBlock) }, grouped(it.networkBlock))];
  return h(
    "li",
    null,
    h(
      "div",
      { class: "node" },
      h("b", null, it.kind),
      pill(it.unavailable ? "unknown" : outcome, MOODS[outcome] ?? "wait"),
      h("span", null, way),
      hashLink(it.id, message ? to.message(it.id) : to.transaction(it.id), { what: message ? "message id" : "transaction hash" }),
      h("span", { class: "line" }, addressLink(it.from), " → ", addressLink(it.to), "  ", ethAmount(it.value), h("span", { class: "muted" }, it.gasUsed === null ? ` · ${grouped(it.gas)} gas sent` : ` · gas ${grouped(it.gasUsed)} of ${grouped(it.gas)}`), place && [" · ", place], final),
      it.unavailable && h("span", { class: "line bad" }, it.unavailable),
    ),
    it.children.length > 0 && h("ul", null, it.children.map(branch)),
    it.truncated > 0 && h("p", { class: "hint" }, `${plural(it.truncated, "more message")} not shown`),
  );
}

/** @param {any[]} all */
export function logs(all) {
  return table(
    ["#", "Contract", "Topics", "Data"],
    all.map((log, i) => [i, addressLink(log.address), h("ol", { class: "topics" }, log.topics.map((/** @type {string} */ topic) => h("li", null, h("code", { class: "long" }, topic)))), log.data === "0x" ? "" : h("code", { class: "long clip" }, log.data)]),
    { caption: "Logs", numeric: [0], empty: "It logged nothing." },
  );
}

/** Bytes, in hex and as text where they are one. @param {string} bytes */
export function data(bytes) {
  const text = asText(bytes);
  return [h("p", { class: "hint" }, plural((bytes.length - 2) / 2, "byte"), bytes.length >= 10 && ` · selector ${bytes.slice(0, 10)}`), text && h("p", null, "As text: ", h("q", null, text)), h("pre", { class: "data", tabindex: "0", "aria-label": "Data in hex" }, bytes)];
}
