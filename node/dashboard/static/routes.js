// Addresses of views, and what a person's search may mean. Pure.

/**
 * @typedef {{view: string, [parameter: string]: string | number}} Place
 */

const PATTERNS = /** @type {[RegExp, (match: RegExpExecArray) => Place][]} */ ([
  [/^\/?$/, () => ({ view: "overview" })],
  [/^\/validators$/, () => ({ view: "validators" })],
  [/^\/developer$/, () => ({ view: "developer" })],
  [/^\/block\/(\d{1,15})$/, (m) => ({ view: "block", number: Number(m[1]) })],
  [/^\/shard\/(\d{1,4})\/block\/(\d{1,15})$/, (m) => ({ view: "shardBlock", shard: Number(m[1]), number: Number(m[2]) })],
  [/^\/tx\/(0x[0-9a-f]{64})$/i, (m) => ({ view: "transaction", hash: m[1].toLowerCase() })],
  [/^\/message\/(0x[0-9a-f]{64})$/i, (m) => ({ view: "message", id: m[1].toLowerCase() })],
  [/^\/address\/(0x[0-9a-f]{40})$/i, (m) => ({ view: "address", address: m[1].toLowerCase() })],
  [/^\/search\/(.{1,200})$/, (m) => ({ view: "search", query: decode(m[1]) })],
]);

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The view that a location's hash names; "unknown" where there is none.
 * @param {string} hash such as "#/tx/0x..."
 * @returns {Place}
 */
export function parse(hash) {
  const path = hash.replace(/^#/, "");
  for (const [pattern, place] of PATTERNS) {
    const match = pattern.exec(path);
    if (match) return place(match);
  }
  return { view: "unknown", path };
}

export const to = {
  /** @param {number} number */
  block: (number) => `#/block/${number}`,
  /** @param {number} shard @param {number} number */
  shardBlock: (shard, number) => `#/shard/${shard}/block/${number}`,
  /** @param {string} hash */
  transaction: (hash) => `#/tx/${hash}`,
  /** @param {string} id */
  message: (id) => `#/message/${id}`,
  /** @param {string} address */
  address: (address) => `#/address/${address}`,
  /** @param {string} query */
  search: (query) => `#/search/${encodeURIComponent(query)}`,
};

/**
 * What a search can mean by its form alone.
 * @typedef {{kind: "number", number: number} | {kind: "shardBlock", shard: number, number: number}
 *   | {kind: "address", address: string} | {kind: "hash", hash: string} | {kind: "name", name: string}
 *   | {kind: "nothing", why: string}} Query
 *
 * @param {string} text
 * @returns {Query}
 */
export function classify(text) {
  const query = text.trim();
  if (!query) return { kind: "nothing", why: "Nothing was searched for." };
  if (/^#?\d{1,15}$/.test(query)) return { kind: "number", number: Number(query.replace("#", "")) };
  const place = /^(?:s|shard)?\s*(\d{1,4})\s*[:/#]\s*(\d{1,15})$/i.exec(query);
  if (place) return { kind: "shardBlock", shard: Number(place[1]), number: Number(place[2]) };
  const hex = /^(?:0x)?([0-9a-f]+)$/i.exec(query);
  if (hex && hex[1].length === 40) return { kind: "address", address: `0x${hex[1].toLowerCase()}` };
  if (hex && hex[1].length === 64) return { kind: "hash", hash: `0x${hex[1].toLowerCase()}` };
  if (/^0x/i.test(query)) {
    if (!hex) return { kind: "nothing", why: "After 0x only the digits 0 to 9 and a to f may stand." };
    return {
      kind: "nothing",
      why: `${hex[1].length} hex digits: an address has 40, the hash of a transaction, message or block 64.`,
    };
  }
  return { kind: "name", name: query };
}
