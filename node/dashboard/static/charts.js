// Charts of the last minutes: how much, how fast, how soon final. Drawn by hand as SVG.

import { h, put, renew, say, set, svg } from "./dom.js";
import { duration, rate } from "./format.js";
import { SPAN } from "./live.js";
import { quantile, ticks } from "./series.js";
import { panel, table } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */
/** @typedef {{name: string, style: "line" | "dots" | "area", points: [number, number][]}} Series */

const HEIGHT = 150;
const MARGIN = { left: 46, right: 10, top: 10, bottom: 22 };
const AGE = SPAN * 1000;

/** @param {Live} live */
export function charts(live) {
  const all = [
    chart("Throughput", "per second", rate, (now) => [
      { name: "transactions", style: "area", points: live.transactions.points(now) },
      { name: "messages delivered", style: "line", points: live.messages.points(now) },
    ]),
    chart("Message latency", "sent until delivered", duration, (now) => [{ name: "messages", style: "dots", points: live.latency.points(now, AGE) }]),
    chart("Finality", "decided by a shard until final on the beacon", duration, (now) => [{ name: "shard blocks", style: "dots", points: live.finality.points(now, AGE) }]),
  ];
  return {
    node: h("div", { class: "charts" }, all.map((one) => one.node)),
    update: () => all.forEach((one) => one.update()),
    stop: () => all.forEach((one) => one.stop()),
  };
}

/**
 * @param {string} title @param {string} what
 * @param {(value: number) => string} words
 * @param {(now: number) => Series[]} read
 */
function chart(title, what, words, read) {
  const picture = svg("svg", { class: "chart", role: "img", height: HEIGHT });
  const figures = h("p", { class: "legend" });
  const list = h("div");
  const details = h("details", { class: "alternative", ontoggle: () => update() }, h("summary", null, "As a table"), list);
  const frame = h("div", { class: "chart-frame" }, picture);
  const node = panel(title, h("p", { class: "hint" }, what), figures, frame, details);
  let width = 0;
  const resized = new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width);
    update();
  });
  resized.observe(frame);

  function update() {
    if (!width) return;
    const now = Date.now();
    const series = read(now);
    const values = series.flatMap(({ points }) => points.map(([, value]) => value));
    const scale = ticks(Math.max(0, ...values));
    const top = /** @type {number} */ (scale.at(-1));
    const x = (/** @type {number} */ time) => MARGIN.left + (1 - (now - time) / AGE) * (width - MARGIN.left - MARGIN.right);
    const y = (/** @type {number} */ value) => HEIGHT - MARGIN.bottom - (value / top) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    set(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    set(picture, "width", width);
    const lines = scale.map((value) => [svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }), svg("text", { class: "tick", x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, words(value))]);
    const times = [0, 1, 2, 3, 4].map((minutes) => svg("text", { class: "tick", x: x(now - minutes * 60_000), y: HEIGHT - 5, "text-anchor": minutes ? "middle" : "end" }, minutes ? `−${minutes} min` : "now"));
    put(picture, lines, times, series.map((one, i) => draw(one, i, x, y)));
    const summary = series.map((one) => summarise(one, words, now));
    set(picture, "aria-label", `${title}, ${what}: ${summary.map((s) => s.text).join("; ")}`);
    put(figures, summary.map((s, i) => h("span", null, h("i", { class: `key-${i}`, "aria-hidden": "true" }), s.text)));
    if (details.open) renew(list, tableOf(series, words, now));
    else say(list, "");
  }

  return { node, update, stop: () => resized.disconnect() };
}

/** @param {Series} series @param {number} index @param {(time: number) => number} x @param {(value: number) => number} y */
function draw({ style, points }, index, x, y) {
  const shown = points.filter(([time]) => x(time) >= MARGIN.left);
  const at = shown.map(([time, value]) => `${x(time).toFixed(1)} ${y(value).toFixed(1)}`);
  if (!at.length) return null;
  if (style === "dots") return svg("path", { class: `dots series-${index}`, d: at.map((point) => `M${point}h0`).join("") });
  const line = svg("path", { class: `curve series-${index}`, d: `M${at.join("L")}` });
  if (style === "line") return line;
  const area = `M${x(shown[0][0]).toFixed(1)} ${y(0)}L${at.join("L")}L${x(shown[shown.length - 1][0]).toFixed(1)} ${y(0)}Z`;
  return [svg("path", { class: `area series-${index}`, d: area }), line];
}

/** @param {Series} series @param {(value: number) => string} words @param {number} now */
function summarise({ name, style, points }, words, now) {
  const recent = points.filter(([time]) => now - time <= 60_000).map(([, value]) => value);
  if (!recent.length) return { text: `${name}: none in the last minute` };
  if (style !== "dots") return { text: `${name}: ${words(recent.reduce((a, b) => a + b, 0) / recent.length)} / s in the last minute` };
  const [half, most] = [quantile(recent, 0.5), quantile(recent, 0.95)];
  return { text: `${name}: median ${words(half ?? 0)}, 95 % ${words(most ?? 0)}` };
}

/** The same by half minutes. @param {Series[]} series @param {(value: number) => string} words @param {number} now */
function tableOf(series, words, now) {
  const steps = Array.from({ length: 10 }, (_, i) => [i * 30_000, (i + 1) * 30_000]);
  const cell = (/** @type {Series} */ { style, points }, /** @type {number} */ from, /** @type {number} */ upto) => {
    const values = points.filter(([time]) => now - time > from && now - time <= upto).map(([, value]) => value);
    if (!values.length) return "–";
    return words(style === "dots" ? (quantile(values, 0.5) ?? 0) : values.reduce((a, b) => a + b, 0) / values.length);
  };
  return table(
    ["Seconds ago", ...series.map(({ name, style }) => (style === "dots" ? `${name}, median` : `${name} / s`))],
    steps.map(([from, upto]) => [`${from / 1000} to ${upto / 1000}`, ...series.map((one) => cell(one, from, upto))]),
    { caption: "By half minutes", numeric: [1, 2] },
  );
}
