// A message between shards: its way leg by leg, what came of it, and its proof to take along.

import { h } from "./dom.js";
import { loaded } from "./explorer.js";
import { grouped, gwei, plural } from "./format.js";
import { to } from "./routes.js";
import { data, logs, tree } from "./transaction.js";
import { addressLink, announce, ethAmount, facts, hashLink, notice, panel, pill, shardTag } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

/** @param {Live} live @param {string} id */
export function message(live, id) {
  const { connection } = live;
  return loaded(
    `Message ${id.slice(0, 10)}…`,
    h("article"),
    async (again) => {
      const it = await connection.call("atoll_message", [id]);
      if (!it) {
        again();
        return null;
      }
      const trace = await connection.call("atoll_trace", [id]).catch(() => null);
      if (it.status !== "delivered" || !trace?.complete) again();
      const last = it.legs.at(-1).delivered;
      return [
        h("header", { class: "heading" }, h("h1", { tabindex: "-1" }, h("span", null, "Message ", shardTag(it.src), " → ", shardTag(it.dst))), proofButton(live, id, it.legs[0].finalised !== null)),
        panel("Its way", h("ol", { class: "way" }, it.legs.map((/** @type {any} */ leg) => steps(leg, it.legs.length > 1)))),
        panel("Details", facts(details(it))),
        panel("What it caused", trace ? tree(trace) : h("p", { class: "empty" }, "The shards cannot be asked now.")),
        it.data !== "0x" && panel("Data", data(it.data)),
        last?.receipt && panel("Logs", logs(last.receipt.logs), last.receipt.logsTruncated > 0 && h("p", { class: "hint" }, `${plural(last.receipt.logsTruncated, "more log")} not shown`)),
      ].filter(Boolean);
    },
    () => notice("No message has this id", id, "Ids of messages are in topic 1 of the log MessageSent and in atoll_trace. This page looks again every second."),
  );
}

/** @param {any} it */
function details(it) {
  return [
    ["Status", pill(it.outcome ?? it.status, it.outcome === "failed" ? "bad" : it.status === "delivered" ? "good" : "wait")],
    ["Id", hashLink(it.id, to.message(it.id), { full: true, what: "message id" })],
    ["Kind", `${it.kind}, #${grouped(it.seq)} of the lane ${it.src} → ${it.dst}`],
    ["From", addressLink(it.from, { full: true })],
    ["To", addressLink(it.to, { full: true })],
    ["Value", ethAmount(it.value, { copy: true, places: 18 })],
    ["Gas", `${grouped(it.gas)} at ${gwei(it.gasPrice)} gwei${it.replyGas ? `, ${grouped(it.replyGas)} for the reply` : ""}`],
    ["Refund to", addressLink(it.refundTo)],
    ["In reply to", it.inReplyTo ? hashLink(it.inReplyTo, to.message(it.inReplyTo), { what: "message id" }) : null],
    ["Transaction", hashLink(it.originTx, to.transaction(it.originTx), { full: true, what: "transaction hash" })],
    ["Depth", it.depth || null],
  ];
}

/** @param {any} leg @param {boolean} many */
function steps(leg, many) {
  const { sent, finalised, delivered } = leg;
  const block = (/** @type {number} */ shard, /** @type {number} */ height) => h("a", { href: to.shardBlock(shard, height) }, `block ${grouped(height)}`);
  const network = (/** @type {number} */ number) => h("a", { href: to.block(number) }, `network block ${grouped(number)}`);
  return h(
    "li",
    null,
    many && h("p", null, "Leg ", shardTag(leg.src), " → ", shardTag(leg.dst), " ", hashLink(leg.id, to.message(leg.id), { what: "message id" })),
    h(
      "ol",
      { class: "steps" },
      h("li", { class: "done" }, h("b", null, "sent"), h("span", null, shardTag(leg.src), " ", block(sent.shard, sent.block), ` #${sent.index}`)),
      h("li", { class: finalised ? "done" : "open" }, h("b", null, "final"), h("span", null, finalised ? network(finalised.networkBlock) : "waits for the beacon")),
      h("li", { class: delivered ? (delivered.outcome === "failed" ? "done failed" : "done") : "open" }, h("b", null, delivered ? "delivered" : "to be delivered"), h("span", null, shardTag(leg.dst), " ", delivered ? [block(delivered.shard, delivered.block), ` #${delivered.index} · ${delivered.outcome} · ${grouped(delivered.gasUsed)} gas`] : "")),
      h("li", { class: delivered?.networkBlock ? "done" : "open" }, h("b", null, "delivery final"), h("span", null, delivered?.networkBlock ? network(delivered.networkBlock) : "")),
    ),
  );
}

/** Saves what proves the message to a verifier that has only the genesis. @param {Live} live @param {string} id @param {boolean} provable */
function proofButton(live, id, provable) {
  const button = h(
    "button",
    {
      type: "button",
      id: "proof",
      disabled: !provable,
      title: provable ? "Save a proof of this message: check it with atoll verify" : "There is a proof once the beacon has the message",
      onclick: async () => {
        button.disabled = true;
        try {
          const proof = await live.connection.call("atoll_proveMessage", [id]);
          save(`message-${id.slice(2, 12)}.json`, JSON.stringify(proof, null, 2));
          announce("The proof was saved");
        } catch (error) {
          announce(`No proof: ${/** @type {Error} */ (error).message}`);
          button.title = /** @type {Error} */ (error).message;
        }
        button.disabled = false;
      },
    },
    "Save proof",
  );
  return button;
}

/** @param {string} name @param {string} text */
function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  h("a", { href: url, download: name }).click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
