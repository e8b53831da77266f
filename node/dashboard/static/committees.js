// Who votes: for every chain its committee against the last heights, from the certificates.

import { h, renew } from "./dom.js";
import { grouped, plural, short } from "./format.js";
import { to } from "./routes.js";
import { panel, shardClass, shardName } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

/** @param {Live} live @param {number} heights how many of each chain */
export function committees(live, heights) {
  const body = h("div", { class: "committees" });
  const legend = h("p", { class: "legend" }, h("span", null, h("i", { class: "vote yes" }), " vote in the certificate"), h("span", null, h("i", { class: "vote yes proposer" }), " proposed it"), h("span", null, h("i", { class: "vote no" }), " not needed or not there"));
  const node = panel("Votes of the last heights", legend, body);
  let drawn = "";

  function update() {
    const chains = [null, ...live.ids];
    const now = [live.decisions.at(-1)?.hash, live.decisions.length, live.names.size, chains.length, live.validators.map((v) => v.jailedAt).join()].join();
    if (now === drawn) return;
    drawn = now;
    renew(body, chains.map((shard) => committee(live, shard, heights)));
  }

  return { node, update };
}

/** @param {Live} live @param {number | null} shard @param {number} heights */
function committee(live, shard, heights) {
  const decisions = live.decisions.filter((row) => row.shard === shard).slice(-heights);
  const members = new Map(decisions.flatMap((row) => row.votes).map((/** @type {any} */ vote) => [vote.address, vote.power]));
  const title = h("h3", { class: shardClass(shard) }, h("i", { "aria-hidden": "true" }), shardName(shard));
  if (!decisions.length) return h("div", { class: "committee" }, title, h("p", { class: "empty" }, "No block yet."));
  const rounds = decisions.filter((row) => row.round > 0).length;
  const total = decisions.at(-1).power;
  const names = [...members.keys()].sort((a, b) => label(live, a).localeCompare(label(live, b), "en", { numeric: true }));
  const ballots = decisions.map((row) => new Map(row.votes.map((/** @type {any} */ vote) => [vote.address, vote.voted])));
  return h(
    "div",
    { class: "committee" },
    title,
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `Votes of ${shardName(shard)}` },
      h(
        "table",
        { class: "votes" },
        h("caption", null, `${plural(names.length, "validator")}, heights ${grouped(decisions[0].height)} to ${grouped(decisions.at(-1).height)}${rounds ? `, ${rounds} in later rounds` : ""}`),
        h("tbody", null, names.map((address) => member(live, address, members.get(address), total, decisions, ballots))),
      ),
    ),
  );
}

/** @param {Live} live @param {string} address */
function label(live, address) {
  return live.nameOf(address) ?? short(address);
}

/** @param {Live} live @param {string} address @param {string} power @param {string} total @param {any[]} decisions @param {Map<string, boolean>[]} ballots */
function member(live, address, power, total, decisions, ballots) {
  const jailed = live.validators.find((v) => v.address === address)?.jailedAt;
  const share = `${(1000n * BigInt(power)) / BigInt(total) / 10n} %`;
  const name = h("th", { scope: "row" }, h("a", { href: to.address(address), title: address }, label(live, address)), h("small", null, jailed !== null && jailed !== undefined ? "jailed" : share));
  return h(
    "tr",
    null,
    name,
    decisions.map((row, i) => {
      const voted = ballots[i].get(address);
      const proposed = row.proposer === address;
      const words = `${voted === undefined ? "no seat" : voted ? "voted" : "no vote"}${proposed ? ", proposed" : ""}`;
      const round = row.round ? `, round ${row.round}` : "";
      return h("td", { title: `height ${row.height}${round}: ${words}` }, h("i", { class: `vote ${voted === undefined ? "none" : voted ? "yes" : "no"}${proposed ? " proposer" : ""}` }), h("span", { class: "sr" }, words));
    }),
  );
}
