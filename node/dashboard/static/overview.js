// The first view: how the network is and what goes on in it.

import { charts } from "./charts.js";
import { committees } from "./committees.js";
import { h, keep, say, set } from "./dom.js";
import { duration, short } from "./format.js";
import { lanes } from "./lanes.js";
import { matrix } from "./matrix.js";
import { to } from "./routes.js";
import { strip } from "./strip.js";
import { ethAmount, hashLink, panel, shardTag } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

const HEIGHTS = 24;
const ROWS = 12;

/** @param {Live} live */
export function overview(live) {
  const top = strip(live);
  const picture = lanes(live);
  const grid = matrix(live);
  const votes = committees(live, HEIGHTS);
  const graphs = charts(live);
  const recent = messages(live);
  const parts = [top, picture, grid, votes, graphs, recent];
  const node = h("div", { class: "overview" }, h("h1", { class: "sr" }, "Overview"), top.node, picture.node, h("div", { class: "pair" }, grid.node, recent.node), graphs.node, votes.node);
  return {
    node,
    title: "Overview",
    fresh: () => picture.update(),
    update: () => parts.forEach((part) => part !== picture && part.update()),
    keys: { p: picture.toggle },
    stop: () => {
      picture.stop();
      graphs.stop();
    },
  };
}

/** The newest messages and how far they are. @param {Live} live */
function messages(live) {
  const body = h("tbody");
  const empty = h("p", { class: "empty" }, "No message between shards since this page was opened. Send some ETH to an account of another shard and watch it cross.");
  const list = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The newest messages" }, h("table", { class: "compact" }, h("caption", { class: "sr" }, "The newest messages"), h("thead", null, h("tr", null, ["Message", "Way", "To", "Value", "Status"].map((name, i) => h("th", { scope: "col", class: i === 3 && "number" }, name)))), body));
  const node = panel("Newest messages", empty, list);

  function update() {
    const rows = [...live.flow.recent.values()].slice(-ROWS).reverse();
    set(empty, "hidden", rows.length > 0);
    set(list, "hidden", rows.length === 0);
    keep(
      body,
      rows,
      (row) => row.message.id,
      ({ message }) => h("tr", null, h("td", null, message.kind, " ", hashLink(message.id, to.message(message.id), { what: "message id" })), h("td", null, shardTag(message.src), " → ", shardTag(message.dst)), h("td", { class: "hash" }, h("a", { href: to.address(message.to), title: message.to }, short(message.to))), h("td", { class: "number" }, ethAmount(message.value)), h("td", null, h("span", { class: "pill" }), " ", h("small", { class: "muted" }))),
      (element, row) => {
        const [mark, age] = element.lastElementChild.children;
        const failed = row.outcome === "failed";
        say(mark, failed ? "failed" : row.status);
        set(mark, "class", `pill ${failed ? "bad" : row.status === "delivered" ? "good" : "wait"}`);
        say(age, `${duration((Date.now() - row.at) / 1000)} ago`);
      },
    );
  }

  return { node, update };
}
