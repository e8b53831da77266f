// All validators: their stake, what they lost, and how they voted.

import { committees } from "./committees.js";
import { h, renew } from "./dom.js";
import { grouped } from "./format.js";
import { to } from "./routes.js";
import { addressLink, ethAmount, hashLink, notice, panel, pill, shardTag, table } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

const HEIGHTS = 40;

/** @param {Live} live */
export function validators(live) {
  const list = h("div");
  const votes = committees(live, HEIGHTS);
  const evidence = h("div");
  const node = h("article", null, h("header", { class: "heading" }, h("h1", { tabindex: "-1" }, "Validators")), votes.node, panel("Validators", list), panel("Evidence", evidence));
  let drawn = "";
  let asked = 0;

  function update() {
    votes.update();
    const now = JSON.stringify(live.validators);
    if (now !== drawn) {
      drawn = now;
      renew(list, rows(live));
    }
    if (Date.now() - asked > 10_000) {
      asked = Date.now();
      live.connection.call("atoll_evidence").then((found) => renew(evidence, proven(live, found)), () => (asked = 0));
    }
  }

  return { node, title: "Validators", update };
}

/** @param {Live} live */
function rows(live) {
  const all = [...live.validators].sort((a, b) => a.shard - b.shard || String(a.name).localeCompare(String(b.name), "en", { numeric: true }));
  return table(
    ["Name", "Address", "Shard", "Beacon", "Stake", "Slashed", "State"],
    all.map((v) => [
      v.name ?? "",
      addressLink(v.address),
      shardTag(v.shard),
      v.beacon ? "yes" : "no",
      ethAmount(v.stake),
      BigInt(v.slashed) ? ethAmount(v.slashed) : "",
      v.jailedAt === null ? (BigInt(v.power) ? pill("has a seat", "good") : pill("no seat", "wait")) : h("span", null, pill("jailed", "bad"), " at ", h("a", { href: to.block(v.jailedAt) }, grouped(v.jailedAt))),
    ]),
    { caption: "Validators", numeric: [4, 5], empty: "Asking the node…" },
  );
}

/** @param {Live} live @param {any} found */
function proven(live, found) {
  const frozen = found.frozen.map((/** @type {any} */ it) => notice(`Shard ${it.shard} is frozen`, `It decided two blocks at height ${grouped(it.height)}; the beacon froze it at block ${grouped(it.frozenAt)}.`));
  const all = [...found.pending.map((/** @type {any} */ it) => ({ ...it, beaconHeight: null })), ...[...found.included].reverse()];
  return [
    frozen,
    table(
      ["What", "Chain", "Height", "Validator", "Beacon block"],
      all.map((it) => [
        it.kind === "shardFork" ? "two decided blocks" : `signed two ${it.message}s`,
        it.chain === "beacon" ? "Beacon" : shardTag(it.chain),
        grouped(it.height),
        it.validator ? hashLink(it.validator, to.address(it.validator), { what: "address", name: live.nameOf(it.validator) ?? "" }) : "",
        it.beaconHeight === null ? pill("not in a block yet", "wait") : h("a", { href: to.block(it.beaconHeight) }, grouped(it.beaconHeight)),
      ]),
      { caption: "Evidence", numeric: [2, 4], empty: "No validator was caught signing two things for one height." },
    ),
  ];
}
