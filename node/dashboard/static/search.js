// From what a person typed to the view of what it is.

import { h } from "./dom.js";
import { loaded } from "./explorer.js";
import { classify, to } from "./routes.js";
import { notice } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

/**
 * Where the search leads; a sentence about why nowhere.
 * @param {Live} live
 * @param {string} text
 * @returns {Promise<{href: string} | {why: string}>}
 */
export async function resolve(live, text) {
  const query = classify(text);
  switch (query.kind) {
    case "nothing":
      return { why: query.why };
    case "number":
      return { href: to.block(query.number) };
    case "shardBlock":
      return { href: to.shardBlock(query.shard, query.number) };
    case "address":
      return { href: to.address(query.address) };
    case "name": {
      const [address] = [...live.names].find(([, name]) => name.toLowerCase() === query.name.toLowerCase()) ?? [];
      return address ? { href: to.address(address) } : { why: `“${query.name}” is neither a number, an address, a hash nor the name of a validator.` };
    }
    default:
      return byHash(live, query.hash);
  }
}

/** @param {Live} live @param {string} hash @returns {Promise<{href: string} | {why: string}>} */
async function byHash({ connection, ids }, hash) {
  const ask = (/** @type {string} */ method, /** @type {any[]} */ ...more) => connection.call(method, [hash, ...more]);
  const settled = await Promise.allSettled([ask("eth_getTransactionByHash"), ask("atoll_message"), ask("eth_getBlockByHash", false), ask("atoll_trace")]);
  const [tx, message, block, trace] = settled.map((one) => (one.status === "fulfilled" ? one.value : null));
  if (message) return { href: to.message(hash) };
  if (tx || trace) return { href: to.transaction(hash) };
  if (block) return { href: to.block(Number(block.number)) };
  const shards = await Promise.allSettled(ids.map((/** @type {number} */ id) => connection.ofShard(id, [["eth_getBlockByHash", [hash, false]]])));
  for (const [i, one] of shards.entries()) {
    const found = one.status === "fulfilled" ? one.value[0] : null;
    if (found) return { href: to.shardBlock(ids[i], Number(found.number)) };
  }
  const failed = [...settled, ...shards].find((one) => one.status === "rejected");
  if (failed) return { why: `Nothing was found, and not everything could be asked: ${/** @type {any} */ (failed).reason.message}` };
  return { why: "No transaction, message, network block or shard block has this hash." };
}

/** The view of a search that leads somewhere else, or nowhere. @param {Live} live @param {string} query */
export function results(live, query) {
  return loaded(
    "Search",
    h("article"),
    async () => {
      const found = await resolve(live, query);
      if ("href" in found) {
        location.replace(found.href);
        return notice("Found", found.href);
      }
      return notice("Nothing found", h("code", { class: "long" }, query), found.why, help());
    },
    () => notice("Nothing found"),
  );
}

function help() {
  return h("span", null, "Search for an address, the hash of a transaction, message or block, the number of a network block, ", h("code", null, "1:42"), " for block 42 of shard 1, or a validator such as ", h("code", null, "s0v0"), ".");
}
