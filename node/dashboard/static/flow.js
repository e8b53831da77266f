// Messages on their way, from the events of `atoll_messages`. Pure: times come in as arguments.
//
// A lane delivers in the order of its sequence numbers and a block's messages are next to each other in it,
// so what a block sent on a lane is one group, and no message has to be kept: thousands of messages a second
// are a few groups.

const GROUPS = 96;
const RECENT = 60;

/**
 * What one block of shard `src` sent to shard `dst`. Times are those of this page, in milliseconds.
 * @typedef {object} Group
 * @property {string} key
 * @property {number} src
 * @property {number} dst
 * @property {number} block of the source
 * @property {number} first sequence number
 * @property {number} count
 * @property {string} firstId
 * @property {number} sentAt
 * @property {number | null} networkBlock that finalised it
 * @property {number | null} finalisedAt
 * @property {number} delivered how many
 * @property {number} failed how many of these
 * @property {number | null} deliveredIn block of the destination, the last one
 * @property {number | null} deliveredAt when the last one was
 */

/**
 * @typedef {{id: string, kind: string, src: number, dst: number, seq: number, from: string, to: string,
 *   value: string}} Message
 * @typedef {{event: "sent" | "finalised" | "delivered", shard: number, block: number, index: number,
 *   networkBlock?: number, outcome?: string, message: Message}} MessageEvent
 * @typedef {{message: Message, status: string, outcome: string | null, at: number}} Row
 */

export class Flow {
  constructor() {
    /** @type {Map<string, Group[]>} by lane, oldest first */
    this.lanes = new Map();
    /** @type {Map<string, Row>} the newest messages, oldest first */
    this.recent = new Map();
    /** Called with each group that has arrived as a whole. @type {(group: Group) => void} */
    this.arrived = () => {};
    this.delivered = 0;
  }

  /**
   * @param {MessageEvent} event
   * @param {number} now milliseconds
   */
  take(event, now) {
    this.#remember(event, now);
    if (event.event === "sent") this.#sent(event, now);
    else if (event.event === "finalised") this.#finalised(event, now);
    else this.#delivered(event, now);
  }

  /** Events were missed: what is known of groups under way is no longer true. */
  forget() {
    this.lanes.clear();
  }

  /** @returns {Group[]} those on their way and those that arrived, oldest first on each lane */
  groups() {
    return [...this.lanes.values()].flat();
  }

  /** @param {MessageEvent} event @param {number} now */
  #remember(event, now) {
    const row = { message: event.message, status: event.event, outcome: event.outcome ?? null, at: now };
    const known = this.recent.has(event.message.id);
    this.recent.set(event.message.id, row);
    if (!known && this.recent.size > RECENT) this.recent.delete(/** @type {string} */ (this.recent.keys().next().value));
  }

  /** @param {MessageEvent} event @param {number} now */
  #sent({ block, message }, now) {
    const lane = `${message.src}>${message.dst}`;
    let groups = this.lanes.get(lane);
    if (!groups) this.lanes.set(lane, (groups = []));
    const last = groups.at(-1);
    if (last && last.block === block && last.first + last.count === message.seq) {
      last.count += 1;
      return;
    }
    groups.push({
      key: `${lane}@${block}`,
      src: message.src,
      dst: message.dst,
      block,
      first: message.seq,
      count: 1,
      firstId: message.id,
      sentAt: now,
      networkBlock: null,
      finalisedAt: null,
      delivered: 0,
      failed: 0,
      deliveredIn: null,
      deliveredAt: null,
    });
    if (groups.length > GROUPS) groups.shift();
  }

  /** @param {MessageEvent} event @param {number} now */
  #finalised({ message, networkBlock }, now) {
    const group = this.#group(message);
    if (!group || group.finalisedAt !== null) return;
    group.networkBlock = networkBlock ?? null;
    group.finalisedAt = now;
  }

  /** @param {MessageEvent} event @param {number} now */
  #delivered({ block, message, outcome }, now) {
    this.delivered += 1;
    const group = this.#group(message);
    if (!group) return;
    group.delivered += 1;
    if (outcome === "failed") group.failed += 1;
    group.deliveredIn = block;
    group.deliveredAt = now;
    if (group.delivered === group.count) this.arrived(group);
  }

  /** @param {Message} message @returns {Group | undefined} */
  #group({ src, dst, seq }) {
    const groups = this.lanes.get(`${src}>${dst}`) ?? [];
    return groups.findLast((group) => group.first <= seq && seq < group.first + group.count);
  }
}

/** @param {Group} group whether something of it is still on its way */
export function underWay(group) {
  return group.delivered < group.count;
}
