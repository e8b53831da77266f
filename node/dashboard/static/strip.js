// The strip of figures on top of the overview: how the network is, at a glance.

import { h, say, set } from "./dom.js";
import { amount, duration, gwei, grouped, number, plural, rate } from "./format.js";
import { quantile } from "./series.js";

/** @typedef {import("./live.js").Live} Live */
/** @typedef {{value: string, unit?: string, note?: string, mood?: "good" | "bad" | "wait"}} Figure */

const RECENTLY = 60_000;

/** @type {[string, string, (live: Live, now: number) => Figure][]} */
const FIGURES = [
  ["block", "Network block", block],
  ["shards", "Shards", shards],
  ["transactions", "Transactions", transactions],
  ["messages", "Messages in flight", messages],
  ["finality", "Finality", finality],
  ["pool", "Pools", pool],
  ["fee", "Gas price", fee],
  ["peers", "Peers", peers],
  ["audit", "Audit", audit],
];

/** @param {Live} live */
export function strip(live) {
  const cells = FIGURES.map(([id, title, read]) => {
    const value = h("b");
    const unit = h("span", { class: "unit" });
    const note = h("small");
    const cell = h("div", { class: "figure", id: `figure-${id}` }, h("dt", null, title), h("dd", null, value, unit), note);
    return { cell, value, unit, note, read };
  });
  const node = h("dl", { class: "strip", "aria-label": "State of the network" }, cells.map(({ cell }) => cell));
  function update() {
    const now = Date.now();
    for (const { cell, value, unit, note, read } of cells) {
      const figure = read(live, now);
      say(value, figure.value);
      say(unit, figure.unit ? ` ${figure.unit}` : "");
      say(note, figure.note ?? "");
      set(cell, "data-mood", figure.mood ?? null);
    }
  }
  return { node, update };
}

/** @param {Live} live @param {number} now @returns {Figure} */
function block(live, now) {
  if (!live.head) return { value: "–" };
  const age = live.blockAt ? (now - live.blockAt) / 1000 : null;
  return { value: grouped(live.head.number), note: age === null ? "waiting for the next" : `${duration(age)} ago` };
}

/** @param {Live} live @returns {Figure} */
function shards(live) {
  const away = live.shards.filter((row) => row.height === null).map((row) => row.id);
  const count = live.ids.length;
  if (!count) return { value: "–" };
  if (live.status?.frozen) return { value: String(count), note: `shard ${live.status.shard} is frozen`, mood: "bad" };
  if (away.length) return { value: `${count - away.length} of ${count}`, note: `shard ${away.join(", ")} away`, mood: "bad" };
  if (live.status?.syncing) return { value: String(count), note: "this node syncs", mood: "wait" };
  return { value: String(count), note: "all make blocks", mood: "good" };
}

/** @param {Live} live @param {number} now @returns {Figure} */
function transactions(live, now) {
  return {
    value: rate(live.transactions.mean(now, 10_000)),
    unit: "/ s",
    note: `${rate(live.messages.mean(now, 10_000))} messages / s`,
  };
}

/** @param {Live} live @returns {Figure} */
function messages(live) {
  const waiting = live.waiting();
  if (waiting === null) return { value: "–" };
  const full = live.lanes.filter((lane) => lane.full).length;
  if (full) return { value: grouped(waiting), note: `${plural(full, "lane")} full`, mood: "bad" };
  const ages = live.lanes.map((lane) => lane.oldest?.age ?? 0);
  const age = ages.length ? Math.max(...ages) : 0;
  return { value: grouped(waiting), note: waiting ? `oldest: ${plural(age, "block")}` : "all delivered" };
}

/** @param {Live} live @param {number} now @returns {Figure} */
function finality(live, now) {
  const values = live.finality.points(now, RECENTLY).map(([, seconds]) => seconds);
  const median = quantile(values, 0.5);
  if (median === null) return { value: "–", note: "beacon after shard" };
  return { value: duration(median), note: `95 %: ${duration(/** @type {number} */ (quantile(values, 0.95)))}` };
}

/** @param {Live} live @returns {Figure} */
function pool(live) {
  const pooled = live.pooled();
  if (pooled === null) return { value: "–" };
  return { value: grouped(pooled), note: `${grouped(number(live.pool.queued))} queued` };
}

/** @param {Live} live @returns {Figure} */
function fee(live) {
  if (!live.gasPrice) return { value: "–" };
  return { value: gwei(live.gasPrice).replace(/(\.\d{2})\d+/, "$1"), unit: "gwei", note: "suggested" };
}

/** @param {Live} live @returns {Figure} */
function peers(live) {
  if (!live.status) return { value: "–" };
  const { peers: connected, peersExpected: expected, name } = live.status;
  const note = `of ${name}`;
  return { value: `${connected} of ${expected}`, note, mood: connected < expected ? "bad" : "good" };
}

/** @param {Live} live @returns {Figure} */
function audit(live) {
  if (!live.audit) return { value: "–" };
  if (!live.audit.balanced) {
    return { value: "Unbalanced", note: `by ${amount(live.audit.difference)} ETH`, mood: "bad" };
  }
  return { value: "Balanced", note: `at block ${grouped(live.audit.block)}`, mood: "good" };
}
