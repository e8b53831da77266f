// Messages that wait on each lane between two shards: how many, how old, how full the lane is.

import { h, put, renew } from "./dom.js";
import { duration, grouped, plural } from "./format.js";
import { to } from "./routes.js";
import { panel, shardClass } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

/** @param {Live} live */
export function matrix(live) {
  const body = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Messages waiting between shards" });
  const node = panel("Messages between shards", h("p", { class: "hint" }, "Waiting to be delivered, from the shard of the row to that of the column, and the age of the oldest since the beacon has it."), body);
  let drawn = "";

  function update() {
    const ids = live.ids;
    const lanes = new Map(live.lanes.map((lane) => [`${lane.src}>${lane.dst}`, lane]));
    const seconds = secondsPerBlock(live.network);
    const cells = ids.map((src) => ids.map((dst) => (src === dst ? null : cell(lanes.get(`${src}>${dst}`), seconds))));
    const now = JSON.stringify([ids, cells]);
    if (now === drawn) return;
    drawn = now;
    if (ids.length < 2) {
      put(body, h("p", { class: "empty" }, "A network of one shard has no messages between shards."));
      return;
    }
    renew(
      body,
      h(
        "table",
        { class: "matrix" },
        h("caption", { class: "sr" }, "Messages waiting between shards"),
        h("thead", null, h("tr", null, h("td", null, h("span", { class: "muted" }, "from \\ to")), ids.map((id) => h("th", { scope: "col", class: shardClass(id) }, h("i"), id)))),
        h("tbody", null, ids.map((src, row) => h("tr", null, h("th", { scope: "row", class: shardClass(src) }, h("i"), src), cells[row].map(draw)))),
      ),
    );
  }

  return { node, update };
}

/** @param {any} lane @param {number | null} seconds */
function cell(lane, seconds) {
  if (!lane) return { waiting: 0, fill: 0, age: "", full: false, id: null, sent: 0 };
  const fill = Math.max(lane.waiting.asked / lane.window.count, lane.waiting.gas / lane.window.gas);
  return { waiting: lane.waiting.count, fill: Math.round(fill * 100), age: lane.oldest ? age(lane.oldest, seconds) : "", full: lane.full, id: lane.oldest?.id ?? null, sent: lane.outbox?.count ?? lane.crosslinked.count };
}

/** @param {any} oldest @param {number | null} seconds */
function age(oldest, seconds) {
  if (oldest.age === null) return "not final yet";
  const blocks = plural(oldest.age, "block");
  return seconds === null || !oldest.age ? blocks : `${blocks}, ${duration(oldest.age * seconds)}`;
}

/** @param {any[]} network what a network block takes on average, null while it cannot be said */
function secondsPerBlock(network) {
  const [first, last] = [network[0], network.at(-1)];
  if (!first || last.number === first.number) return null;
  return Math.round((10 * (last.timestamp - first.timestamp)) / (last.number - first.number)) / 10;
}

/** @param {any} cell */
function draw(cell) {
  if (cell === null) return h("td", { class: "self" }, h("span", { class: "sr" }, "the same shard"));
  const value = cell.id ? h("a", { href: to.message(cell.id), title: "The oldest message" }, grouped(cell.waiting)) : grouped(cell.waiting);
  const meter = h("meter", { min: 0, max: 100, high: 80, value: cell.fill, title: `${cell.fill} % of the lane's window`, "aria-label": `${cell.fill} % full` });
  return h("td", { class: cell.full ? "full" : cell.waiting ? "some" : "none" }, h("b", null, value), h("small", null, cell.full ? `full · ${cell.age}` : cell.waiting ? cell.age : `${grouped(cell.sent)} delivered`), meter);
}
