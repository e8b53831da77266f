// Faults of the node that serves this page: what is in force, more of them, and an end to all.

import { h, put, renew } from "./dom.js";
import { duration } from "./format.js";
import { field, tool } from "./forms.js";
import { failure, panel } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */
/**
 * What `atoll_faults` says, see docs/faults.md.
 * @typedef {{equivocate: boolean, late: number, withhold: boolean, clock: number, disk: number | null,
 *   lanes: number[], seed: number, links: Record<string, {cut: boolean, delay: number, jitter: number, loss: number}>}} Faults
 */

const NO_LINK = { cut: false, delay: 0, jitter: 0, loss: 0 };

/** @param {Live} live */
export function faults(live) {
  const { connection } = live;
  const list = h("div", { "aria-live": "polite" });
  const heal = h("button", { type: "button", id: "heal", onclick: () => change(async () => connection.call("atoll_setFaults", [{}])) }, "Heal all");
  const current = panel("Faults of this node", h("p", { class: "hint" }, "They last until they are healed here or the node ends. For other nodes, kills and damage there is ", h("code", null, "atoll fault"), "."), list, h("div", { class: "buttons" }, heal));
  const kind = select("fault-kind", [["delay", "Delay messages to"], ["loss", "Lose messages to"], ["cut", "Cut the link to"], ["lane", "Hold the lane from a shard"], ["withhold", "Propose without messages"], ["clock", "Wrong clock"]]);
  const peer = select("fault-peer", []);
  const shard = select("fault-shard", []);
  const value = h("input", { type: "number", step: "any", value: "0.5", name: "fault-value" });
  const fields = { peer: field("Node", peer), shard: field("Shard", shard), value: field("Seconds", value) };
  let known = "";
  let asked = 0;
  kind.addEventListener("change", arrange);

  const cause = tool("Cause a fault", "Of this node only: what it sends, fetches, proposes, and its clock.", [field("Kind", kind), Object.values(fields)], "Cause it", async () => {
    await change(async () => connection.call("atoll_setFaults", [withOne(await connection.call("atoll_faults"))]));
    return "It is in force.";
  });

  /** What the form says, added to what is in force. @param {Faults} now */
  function withOne(now) {
    const amount = Number(value.value);
    const link = now.links[peer.value] ?? NO_LINK;
    switch (kind.value) {
      case "delay":
        return { ...now, links: { ...now.links, [peer.value]: { ...link, delay: amount } } };
      case "loss":
        return { ...now, links: { ...now.links, [peer.value]: { ...link, loss: amount / 100 } } };
      case "cut":
        return { ...now, links: { ...now.links, [peer.value]: { ...link, cut: true } } };
      case "lane":
        return { ...now, lanes: [...new Set([...now.lanes, Number(shard.value)])] };
      case "withhold":
        return { ...now, withhold: true };
      default:
        return { ...now, clock: amount };
    }
  }

  /** Show what a kind of fault needs. */
  function arrange() {
    const needs = { delay: ["peer", "value"], loss: ["peer", "value"], cut: ["peer"], lane: ["shard"], clock: ["value"] }[kind.value] ?? [];
    for (const [name, element] of Object.entries(fields)) element.hidden = !needs.includes(name);
    fields.value.firstChild.textContent = kind.value === "loss" ? "Percent" : "Seconds";
    value.value = kind.value === "loss" ? "10" : kind.value === "clock" ? "20" : "0.5";
  }

  /** @param {() => Promise<any>} act */
  async function change(act) {
    show(await act());
  }

  /** @param {Faults} now */
  function show(now) {
    const words = inWords(now);
    heal.disabled = !words.length;
    renew(list, words.length ? h("ul", { class: "plain" }, words.map((line) => h("li", null, line))) : h("p", { class: "empty" }, "None."));
  }

  function update() {
    const me = live.status;
    const names = live.validators.map((v) => v.name).filter((name) => name && name !== me?.name).sort();
    const shards = live.ids.filter((id) => id !== me?.shard);
    const now = JSON.stringify([names, shards]);
    if (now !== known) {
      known = now;
      put(peer, names.map((name) => h("option", { value: name }, name)));
      put(shard, shards.map((id) => h("option", { value: id }, `shard ${id}`)));
    }
    if (Date.now() - asked < 3000) return;
    asked = Date.now();
    connection.call("atoll_faults").then(show, (error) => put(list, failure(error)));
  }

  arrange();
  return { node: [current, cause], update };
}

/** @param {Faults} now */
function inWords(now) {
  const links = Object.entries(now.links).flatMap(([name, link]) => [
    link.cut && `the link to ${name} is cut`,
    link.delay + link.jitter > 0 && `messages to ${name} take ${duration(link.delay)} longer${link.jitter ? `, up to ${duration(link.jitter)} more` : ""}`,
    link.loss > 0 && `${Number((100 * link.loss).toFixed(2))} % of the messages to ${name} are lost`,
  ]);
  return [
    ...links,
    ...now.lanes.map((id) => `no message is fetched from shard ${id}`),
    now.withhold && "it proposes blocks without messages of other shards",
    now.equivocate && "it contradicts its own votes",
    now.clock !== 0 && `its clock is ${duration(Math.abs(now.clock))} ${now.clock < 0 ? "behind" : "ahead"}`,
    now.disk !== null && `its data may take ${now.disk} bytes`,
  ].filter((line) => typeof line === "string");
}

/** @param {string} name @param {[string, string][]} options */
function select(name, options) {
  return h("select", { name }, options.map(([value, words]) => h("option", { value }, words)));
}
