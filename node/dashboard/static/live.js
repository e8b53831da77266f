// What the page knows of the network as it goes on. Bounded: the newest of everything.

import { Flow } from "./flow.js";
import { number } from "./format.js";
import { Rates, Samples } from "./series.js";

/** @typedef {import("./columns.js").ShardBlock & {seenAt: number, timestamp: number}} LiveBlock */
/** @typedef {import("./rpc.js").Connection} Connection */

const KEPT_BLOCKS = 64;
const FIRST_BLOCKS = 24;
const SECOND = 1000;
export const SPAN = 300; // seconds that the charts show
const MANY_SHARDS = 16;

export class Live {
  /** @param {Connection} connection */
  constructor(connection) {
    this.connection = connection;
    /** Called after every change; may be called thousands of times a second. */
    this.changed = () => {};
    /** @type {any[]} network blocks, ascending */
    this.network = [];
    /** @type {Map<number, Map<number, LiveBlock>>} blocks by shard and height */
    this.blocks = new Map();
    /** @type {any[]} what `atoll_votes` said of the newest blocks, ascending */
    this.decisions = [];
    this.flow = new Flow();
    this.flow.arrived = (group) => this.#arrived(group);
    this.transactions = new Rates(SECOND, SPAN);
    this.messages = new Rates(SECOND, SPAN);
    this.gas = new Rates(SECOND, SPAN);
    this.finality = new Samples(512);
    this.latency = new Samples(512);
    this.blockAt = 0; // when the newest network block came
    /** @type {any} */ this.status = null;
    /** @type {any[]} */ this.shards = [];
    /** @type {any[]} */ this.lanes = [];
    /** @type {any[]} */ this.validators = [];
    /** @type {any} */ this.audit = null;
    /** @type {any} */ this.pool = null;
    /** @type {string | null} */ this.gasPrice = null;
    /** @type {Map<string, string>} names of validators by address */
    this.names = new Map();
    this.timers = /** @type {number[]} */ ([]);
    this.asking = new Set();
    this.votesWanted = false;
    connection.opened = () => this.#opened();
    connection.subscribe("atoll_blocks", (block) => this.#networkBlock(block));
    connection.subscribe("atoll_shardBlocks", (block) => this.#shardBlock(block, Date.now()));
    connection.subscribe("atoll_messages", (event) => this.#message(event));
    this.#every(2, () => this.#ask("lanes", "atoll_lanes"), () => this.shards.length > MANY_SHARDS);
    this.#every(2, () => this.#ask("pool", "txpool_status"));
    this.#every(3, () => this.#ask("status", "atoll_status"));
    this.#every(3, () => this.#ask("shards", "atoll_shards"));
    this.#every(6, () => this.#ask("gasPrice", "eth_gasPrice"));
    this.#every(10, () => this.#ask("audit", "atoll_audit"));
    this.#every(10, () => this.#validators());
  }

  get devMethods() {
    return this.status?.devMethods === true;
  }

  get head() {
    return this.network.at(-1) ?? null;
  }

  /** Ids of all shards. */
  get ids() {
    const known = this.shards.map((row) => row.id);
    return known.length ? known : (this.head?.shards ?? []).map((/** @type {any} */ row) => row.id);
  }

  /** @returns {LiveBlock[]} */
  shardBlocks() {
    return [...this.blocks.values()].flatMap((blocks) => [...blocks.values()]);
  }

  /** @param {string} address */
  nameOf(address) {
    return this.names.get(address.toLowerCase()) ?? null;
  }

  /**
   * Ask every so often while the page is seen.
   * @param {number} seconds
   * @param {() => void} ask
   * @param {() => boolean} [seldom] whether every fifth time is enough
   */
  #every(seconds, ask, seldom = () => false) {
    let turn = 0;
    window.setInterval(() => {
      turn += 1;
      if (!document.hidden && this.connection.state === "open" && (turn % 5 === 0 || !seldom())) ask();
    }, seconds * SECOND);
  }

  /** @param {"lanes" | "pool" | "status" | "shards" | "gasPrice" | "audit"} field @param {string} method */
  async #ask(field, method) {
    if (this.asking.has(field)) return;
    this.asking.add(field);
    try {
      this[field] = await this.connection.call(method);
      this.changed();
    } catch {
      // It is asked again soon, and the connection tells when it is gone.
    } finally {
      this.asking.delete(field);
    }
  }

  async #validators() {
    try {
      this.validators = await this.connection.call("atoll_validators");
    } catch {
      return;
    }
    this.names = new Map(this.validators.filter((v) => v.name).map((v) => [v.address, v.name]));
    this.changed();
  }

  /** A connection is there: what was known may be old, or of another network. */
  async #opened() {
    this.flow.forget();
    const fields = /** @type {const} */ (["status", "shards", "lanes", "pool", "gasPrice", "audit"]);
    const methods = ["atoll_status", "atoll_shards", "atoll_lanes", "txpool_status", "eth_gasPrice", "atoll_audit"];
    const before = this.status?.genesis;
    fields.forEach((field, i) => this.#ask(field, methods[i]));
    this.#validators();
    try {
      const status = await this.connection.call("atoll_status");
      if (before && before !== status.genesis) this.#forget();
      const head = status.networkHead;
      const first = Math.max(0, head - FIRST_BLOCKS + 1);
      const wanted = Array.from({ length: head - first + 1 }, (_, i) => `0x${(first + i).toString(16)}`);
      const blocks = await Promise.all(wanted.map((n) => this.connection.call("atoll_networkBlock", [n])));
      for (const block of blocks) this.#addNetworkBlock(block);
      await Promise.all(this.shardBlocks().filter((b) => b.transactions === null).map((b) => this.#fillIn(b)));
      if (head > 0) await this.#votes(head, Math.min(head, FIRST_BLOCKS));
    } catch {
      // Lost again already: the next connection does it.
    }
    this.changed();
  }

  /** Another network answers under this address. */
  #forget() {
    this.network = [];
    this.blocks.clear();
    this.decisions = [];
    this.flow.recent.clear();
  }

  /** @param {LiveBlock} block */
  async #fillIn(block) {
    const found = await this.connection.call("atoll_shardBlock", [block.shard, `0x${block.height.toString(16)}`]);
    Object.assign(block, { transactions: found.transactions, arrivals: found.arrivals });
    this.changed();
  }

  /** @param {any} block */
  #networkBlock(block) {
    const now = Date.now();
    this.blockAt = now;
    this.#addNetworkBlock(block, now);
    this.#latestVotes();
    this.changed();
  }

  /** @param {any} block @param {number | null} now null for blocks of before */
  #addNetworkBlock(block, now = null) {
    if (!block || this.network.some((known) => known.number === block.number)) return;
    this.network.push(block);
    this.network.sort((a, b) => a.number - b.number);
    this.network = this.network.slice(-KEPT_BLOCKS);
    for (const link of block.crosslinks) {
      const known = this.blocks.get(link.shard)?.get(link.height);
      if (known) {
        known.networkBlock = block.number;
        if (now !== null && known.seenAt) this.finality.add(now, (now - known.seenAt) / SECOND);
      } else {
        this.#put({ ...link, transactions: null, arrivals: null, networkBlock: block.number, seenAt: 0 });
      }
    }
  }

  /** @param {any} block @param {number} now */
  #shardBlock(block, now) {
    const known = this.blocks.get(block.shard)?.get(block.height);
    const networkBlock = known?.networkBlock ?? block.networkBlock;
    this.#put({ ...block, networkBlock, seenAt: known?.seenAt || (networkBlock === null ? now : 0) });
    this.transactions.add(now, block.transactions);
    this.gas.add(now, block.gasUsed);
    this.changed();
  }

  /** @param {LiveBlock} block */
  #put(block) {
    let blocks = this.blocks.get(block.shard);
    if (!blocks) this.blocks.set(block.shard, (blocks = new Map()));
    blocks.set(block.height, block);
    while (blocks.size > KEPT_BLOCKS) blocks.delete(Math.min(...blocks.keys()));
  }

  /** @param {any} event */
  #message(event) {
    const now = Date.now();
    if (event.event === "missed") this.flow.forget();
    else this.flow.take(event, now);
    if (event.event === "delivered") this.messages.add(now, 1);
    this.changed();
  }

  /** @param {import("./flow.js").Group} group */
  #arrived(group) {
    this.latency.add(Date.now(), (/** @type {number} */ (group.deliveredAt) - group.sentAt) / SECOND);
  }

  /** Votes of the newest blocks; while they come faster than answers, one question serves for several. */
  async #latestVotes() {
    if (this.votesWanted) return;
    this.votesWanted = true;
    await new Promise((resolve) => window.setTimeout(resolve, 400));
    this.votesWanted = false;
    const head = this.head?.number;
    const last = this.decisions.at(-1)?.networkBlock ?? 0;
    if (head === undefined || head <= last) return;
    try {
      await this.#votes(head, Math.min(head - last, FIRST_BLOCKS));
      this.changed();
    } catch {
      // The next block asks again.
    }
  }

  /** @param {number} head @param {number} count */
  async #votes(head, count) {
    const found = await this.connection.call("atoll_votes", [`0x${head.toString(16)}`, count]);
    const known = new Set(this.decisions.map((row) => row.hash));
    this.decisions.push(...found.filter((/** @type {any} */ row) => !known.has(row.hash)));
    this.decisions.sort((a, b) => a.networkBlock - b.networkBlock);
    const oldest = (this.decisions.at(-1)?.networkBlock ?? 0) - KEPT_BLOCKS;
    this.decisions = this.decisions.filter((row) => row.networkBlock > oldest);
  }

  /** Messages on their way on all lanes, as the node says; null while it is not known. */
  waiting() {
    return this.lanes.length || this.shards.length === 1
      ? this.lanes.reduce((sum, lane) => sum + lane.waiting.count, 0)
      : null;
  }

  /** Transactions in all pools; null while it is not known. */
  pooled() {
    return this.pool && number(this.pool.pending) + number(this.pool.queued);
  }
}
