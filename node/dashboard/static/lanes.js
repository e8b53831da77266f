// The picture of the network: a lane for the beacon and for every shard, their last blocks, and arrows for the
// messages between them. A column is a network block with the shard blocks that it made final.

import { columns, spots } from "./columns.js";
import { h, keep, renew, say, set, svg } from "./dom.js";
import { underWay } from "./flow.js";
import { grouped, plural } from "./format.js";
import { to } from "./routes.js";
import { shardClass, shardName, table } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */
/** @typedef {import("./flow.js").Group} Group */

const GUTTER = 96;
const COLUMN = 88;
const WAITING = 116;
const ROW = 78;
const TOP = 26;
const BLOCK = { width: 74, height: 38 };
const FIT = 4;
const TABLE_MILLISECONDS = 1000;

/** @param {Live} live */
export function lanes(live) {
  const picture = svg("svg", { class: "lanes", role: "group", "aria-label": "The last blocks of the beacon and of every shard, with messages between shards as arrows. Arrow keys go from block to block." });
  const layers = ["rows", "heads", "links", "arrows", "blocks"].map((name) => svg("g", { class: name }));
  const [rows, heads, links, arrows, blocks] = layers;
  picture.append(markers(), ...layers);
  const frame = h("div", { class: "lanes-frame" }, picture);
  const alternative = h("div");
  const details = h("details", { class: "alternative", ontoggle: () => details.open && asTable() }, h("summary", null, "As a table"), alternative);
  const state = { paused: false, width: 0, tabled: 0 };
  const pause = h("button", { type: "button", id: "pause", "aria-pressed": "false", title: "Pause (p)", onclick: toggle }, "Pause");
  const legend = h("p", { class: "legend" }, h("span", { class: "key way" }, "on its way"), h("span", { class: "key there" }, "delivered"), h("span", { class: "key lost" }, "delivered, its call failed"), h("span", { class: "key open" }, "not final yet"));
  const node = h("section", { class: "panel", "aria-labelledby": "lanes-title" }, h("header", null, h("h2", { id: "lanes-title" }, "Blocks and messages"), legend, pause), frame, details);
  const resized = new ResizeObserver(([entry]) => {
    state.width = Math.floor(entry.contentRect.width);
    update();
  });
  resized.observe(frame);
  picture.addEventListener("keydown", walk);
  picture.addEventListener("focusin", (/** @type {FocusEvent} */ event) => {
    const key = /** @type {Element} */ (event.target).getAttribute("data-key");
    if (key) choose(key);
  });

  function toggle() {
    state.paused = !state.paused;
    set(pause, "aria-pressed", String(state.paused));
    say(pause, state.paused ? "Go on" : "Pause");
    picture.classList.toggle("paused", state.paused);
    update();
  }

  function update() {
    if (state.paused || state.width === 0) return;
    const count = Math.max(2, Math.floor((state.width - GUTTER - WAITING) / COLUMN));
    const all = columns(live.network, live.shardBlocks(), count);
    draw(all, spots(all, FIT));
    if (details.open && Date.now() - state.tabled > TABLE_MILLISECONDS) asTable();
  }

  /** @param {import("./columns.js").Column[]} all @param {Map<string, import("./columns.js").Spot>} places */
  function draw(all, places) {
    const ids = live.ids;
    const height = TOP + ROW * (ids.length + 1);
    set(picture, "viewBox", `0 0 ${state.width} ${height}`);
    set(picture, "width", state.width);
    set(picture, "height", height);
    const geometry = new Geometry(state.width, all.length, ids);
    drawRows(rows, geometry, ids);
    drawHeads(heads, geometry, all);
    drawLinks(links, geometry, all);
    drawBlocks(blocks, geometry, all, places);
    drawArrows(arrows, geometry, live.flow.groups(), places, all.length - 1);
    if (!blocks.querySelector('[tabindex="0"]')) {
      const newest = [...blocks.querySelectorAll('[data-lane="beacon"]')].at(-1) ?? blocks.lastElementChild;
      if (newest) set(newest, "tabindex", "0");
    }
  }

  /** One block can be reached by Tab, the others from there. @param {string} key */
  function choose(key) {
    for (const element of blocks.children) set(element, "tabindex", element.getAttribute("data-key") === key ? "0" : "-1");
  }

  /** @param {KeyboardEvent} event */
  function walk(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const here = /** @type {any} */ (event.target);
    if (!step || !here.dataset?.key) return;
    event.preventDefault();
    const next = neighbour([...blocks.children], here, step[0], step[1]);
    if (next) {
      choose(next.dataset.key);
      next.focus();
    }
  }

  function asTable() {
    state.tabled = Date.now();
    const newest = [...live.network].reverse().slice(0, 12);
    const links_ = (/** @type {any} */ block) =>
      block.crosslinks.map((/** @type {any} */ link) => h("a", { href: to.shardBlock(link.shard, link.height) }, `shard ${link.shard}: ${grouped(link.height)} `));
    const moving = live.flow.groups().slice(-12).reverse();
    renew(
      alternative,
      table(["Network block", "Shard blocks it made final"], newest.map((block) => [h("a", { href: to.block(block.number) }, grouped(block.number)), links_(block)]), { caption: "The last network blocks", numeric: [0] }),
      table(
        ["From", "To", "Messages", "Delivered"],
        moving.map((group) => [`shard ${group.src}, block ${group.block}`, `shard ${group.dst}`, h("a", { href: to.message(group.firstId) }, String(group.count)), group.delivered]),
        { caption: "The last messages between shards", numeric: [2, 3], empty: "No message was sent since this page was opened." },
      ),
    );
  }

  return { node, update, toggle, stop: () => resized.disconnect() };
}

/** Where things stand, in pixels. */
class Geometry {
  /** @param {number} width @param {number} count of columns, with that of what waits @param {number[]} ids */
  constructor(width, count, ids) {
    this.width = width;
    this.count = count;
    this.lane = new Map([[/** @type {number | null} */ (null), 0], ...ids.map((id, i) => /** @type {[number, number]} */ ([id, i + 1]))]);
    this.waiting = width - WAITING;
    this.step = COLUMN;
    this.first = this.waiting - (count - 1) * COLUMN;
  }

  /** Middle of a column. @param {number} column */
  x(column) {
    return column === this.count - 1 ? this.waiting + WAITING / 2 : this.first + (column + 0.5) * this.step;
  }

  /** Middle of a lane. @param {number | null} shard */
  y(shard) {
    return TOP + ROW * ((this.lane.get(shard) ?? 0) + 0.5);
  }

  /** @param {import("./columns.js").Spot} spot */
  box(spot) {
    const gap = 3;
    const width = (BLOCK.width - gap * (spot.slots - 1)) / spot.slots;
    return { x: this.x(spot.column) - BLOCK.width / 2 + spot.slot * (width + gap), width };
  }
}

function markers() {
  const head = (/** @type {string} */ id) =>
    svg("marker", { id, viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "7", markerHeight: "7", orient: "auto-start-reverse" }, svg("path", { d: "M0 0.5 L8 4 L0 7.5 Z", fill: "context-stroke" }));
  return svg("defs", null, head("head"));
}

/** @param {any} layer @param {Geometry} geometry @param {number[]} ids */
function drawRows(layer, geometry, ids) {
  keep(
    layer,
    [null, ...ids],
    (id) => String(id),
    (id) => svg("g", { class: shardClass(id) }, svg("rect", { class: "track", rx: 8 }), svg("rect", { class: "swatch", width: 4, height: 30, rx: 2 }), svg("text", { class: "lane-name" }, shardName(id))),
    (element, id) => {
      const [track, swatch, name] = element.children;
      const y = geometry.y(id);
      set(track, "x", 0);
      set(track, "y", y - ROW / 2 + 4);
      set(track, "width", geometry.width);
      set(track, "height", ROW - 8);
      set(swatch, "x", 10);
      set(swatch, "y", y - 15);
      set(name, "x", 22);
      set(name, "y", y + 5);
    },
  );
}

/** @param {any} layer @param {Geometry} geometry @param {import("./columns.js").Column[]} all */
function drawHeads(layer, geometry, all) {
  keep(
    layer,
    all.map((column, index) => ({ column, index })).filter(({ column }) => column.block === null),
    () => "waiting",
    () => svg("g", null, svg("rect", { class: "open-column", rx: 8 }), svg("text", { class: "column-name" }, "not final yet")),
    (element, { index }) => {
      const [area, text] = element.children;
      set(area, "x", geometry.waiting + 2);
      set(area, "y", geometry.y(null) - ROW / 2 + 4);
      set(area, "width", WAITING - 4);
      set(area, "height", ROW * geometry.lane.size - 8);
      set(text, "x", geometry.x(index));
      set(text, "y", 16);
    },
  );
}

/** From a network block down to the shard blocks that it takes in. @param {any} layer @param {Geometry} geometry @param {import("./columns.js").Column[]} all */
function drawLinks(layer, geometry, all) {
  const shown = all.map((column, index) => ({ column, index })).filter(({ column }) => column.block && column.cells.size);
  keep(
    layer,
    shown,
    ({ column }) => String(column.block?.number),
    () => svg("path", { class: "crosslink" }),
    (element, { column, index }) => {
      const x = geometry.x(index);
      const lowest = Math.max(...[...column.cells.keys()].map((shard) => geometry.y(shard)));
      set(element, "d", `M${x} ${geometry.y(null) + BLOCK.height / 2} V${lowest - BLOCK.height / 2}`);
    },
  );
}

/** @param {any} layer @param {Geometry} geometry @param {import("./columns.js").Column[]} all @param {Map<string, import("./columns.js").Spot>} places */
function drawBlocks(layer, geometry, all, places) {
  const items = /** @type {any[]} */ ([]);
  all.forEach((column, index) => {
    if (column.block) items.push({ key: `beacon/${column.block.number}`, shard: null, spot: { column: index, slot: 0, slots: 1 }, block: column.block, final: true });
    for (const block of [...column.cells.values()].flat()) {
      const spot = places.get(`${block.shard}/${block.height}`);
      if (spot && !spot.hidden) items.push({ key: `${block.shard}/${block.height}`, shard: block.shard, spot, block, final: column.block !== null });
    }
  });
  keep(layer, items, (item) => item.key, makeBlock, (element, item) => updateBlock(element, geometry, item));
}

/** @param {any} item */
function makeBlock({ key, shard, block }) {
  return svg(
    "a",
    { href: shard === null ? to.block(block.number) : to.shardBlock(shard, block.height), class: `block ${shardClass(shard)}`, "data-key": key, "data-lane": shard ?? "beacon", tabindex: "-1" },
    svg("title"),
    svg("rect", { rx: 6, height: BLOCK.height, x: 0, y: -BLOCK.height / 2 }),
    svg("text", { class: "height", y: -3 }),
    svg("text", { class: "load", y: 12 }),
  );
}

/** @param {any} element @param {Geometry} geometry @param {any} item */
function updateBlock(element, geometry, { shard, spot, block, final }) {
  const [title, rect, height, load] = element.children;
  const { x, width } = geometry.box(spot);
  const name = shard === null ? `Network block ${block.number}` : `Block ${block.height} of shard ${shard}`;
  const words = shard === null ? plural(block.crosslinks.length, "shard block") : content(block);
  element.style.transform = `translate(${x}px, ${geometry.y(shard)}px)`;
  element.classList.toggle("open", !final);
  element.classList.toggle("busy", shard !== null && Boolean(block.transactions || block.arrivals));
  set(element, "aria-label", `${name}: ${words}${final ? "" : ", not final yet"}`);
  element.dataset.column = spot.column;
  say(title, `${name}\n${words}`);
  set(rect, "width", width);
  set(height, "x", width / 2);
  set(load, "x", width / 2);
  say(height, width > 30 ? grouped(shard === null ? block.number : block.height) : "");
  say(load, width > 60 ? (shard === null ? "" : brief(block)) : "");
  set(height, "y", load.textContent ? -3 : 5);
}

/** @param {any} block */
function content({ transactions, arrivals, gasUsed }) {
  const gas = `${grouped(gasUsed)} gas`;
  return transactions === null ? gas : `${plural(transactions, "transaction")}, ${plural(arrivals, "message")} delivered, ${gas}`;
}

/** @param {any} block */
function brief({ transactions, arrivals }) {
  if (transactions === null || !(transactions || arrivals)) return "";
  return [transactions && `${short(transactions)} tx`, arrivals && `${short(arrivals)} in`].filter(Boolean).join(" · ");
}

/** @param {number} count */
function short(count) {
  return count < 1000 ? String(count) : `${(count / 1000).toFixed(count < 9950 ? 1 : 0)}k`;
}

/** @param {any} layer @param {Geometry} geometry @param {Group[]} groups @param {Map<string, import("./columns.js").Spot>} places @param {number} waiting */
function drawArrows(layer, geometry, groups, places, waiting) {
  const shown = groups.map((group) => ({ group, from: places.get(`${group.src}/${group.block}`), at: group.deliveredIn === null ? undefined : places.get(`${group.dst}/${group.deliveredIn}`) }));
  keep(
    layer,
    shown.filter(({ group, from, at }) => (from || underWay(group)) && (at || underWay(group))),
    ({ group }) => group.key,
    ({ group }) => svg("a", { class: `arrow ${shardClass(group.src)}`, href: group.count === 1 ? to.message(group.firstId) : to.shardBlock(group.src, group.block), "data-key": "", tabindex: "-1" }, svg("title"), svg("path", { class: "hit" }), svg("path", { class: "line", "marker-end": "url(#head)" }), svg("text", { class: "count" })),
    (element, { group, from, at }) => {
      const [title, hit, line, count] = element.children;
      const moving = underWay(group);
      const start = from ? geometry.box(from) : { x: geometry.first - 8, width: 0 };
      const end = at && !moving ? geometry.box(at) : { x: geometry.x(waiting) - 8, width: 16 };
      const down = geometry.y(group.dst) > geometry.y(group.src) ? 1 : -1;
      const x1 = start.x + start.width * 0.62;
      const x2 = end.x + end.width * 0.38;
      const y1 = geometry.y(group.src) + (down * BLOCK.height) / 2;
      const y2 = geometry.y(group.dst) - down * (BLOCK.height / 2 + 3);
      const bend = Math.max(24, Math.abs(y2 - y1) * 0.55) * down;
      const path = `M${x1} ${y1} C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
      set(hit, "d", path);
      set(line, "d", path);
      element.classList.toggle("moving", moving);
      element.classList.toggle("failed", group.failed > 0);
      set(element, "href", group.count === 1 ? to.message(group.firstId) : to.shardBlock(group.src, group.block));
      say(count, group.count > 1 ? `×${short(group.count)}` : "");
      set(count, "x", (x1 + x2) / 2);
      set(count, "y", (y1 + y2) / 2 + 4);
      const done = moving ? `${group.delivered} of ${group.count} delivered` : `delivered in block ${group.deliveredIn}`;
      const failed = group.failed ? `, ${plural(group.failed, "call")} failed` : "";
      const words = `${plural(group.count, "message")} from shard ${group.src}, block ${group.block}, to shard ${group.dst}: ${done}${failed}`;
      say(title, words);
      set(element, "aria-label", words);
    },
  );
}

/**
 * The next block in a direction: along its lane, or the nearest one of the lane above or below.
 * @param {any[]} blocks @param {any} here @param {number} dx @param {number} dy
 */
function neighbour(blocks, here, dx, dy) {
  const lanes_ = [...new Set(blocks.map((b) => b.dataset.lane))].sort((a, b) => (a === "beacon" ? -1 : b === "beacon" ? 1 : a - b));
  const order = (/** @type {string} */ lane) => blocks.filter((b) => b.dataset.lane === lane).sort((a, b) => a.dataset.column - b.dataset.column || number(a) - number(b));
  if (dx) {
    const lane = order(here.dataset.lane);
    return lane[lane.indexOf(here) + dx];
  }
  const lane = order(lanes_[lanes_.indexOf(here.dataset.lane) + dy]);
  const distance = (/** @type {any} */ b) => Math.abs(b.dataset.column - here.dataset.column);
  return lane.length ? lane.reduce((best, b) => (distance(b) < distance(best) ? b : best)) : undefined;
}

/** @param {any} block */
function number(block) {
  return Number(block.dataset.key.split("/")[1]);
}
