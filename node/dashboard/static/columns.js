// Where blocks stand in the picture of the lanes. Pure.
//
// A column is a network block with the blocks of shards that it took in; the last column holds what shards
// have decided and the beacon has not taken in yet.

/**
 * @typedef {{shard: number, height: number, hash: string, gasUsed: number, transactions: number | null,
 *   arrivals: number | null, networkBlock: number | null}} ShardBlock
 * @typedef {{number: number, timestamp: number, hash: string}} NetworkBlock
 * @typedef {{block: NetworkBlock | null, cells: Map<number, ShardBlock[]>}} Column
 * @typedef {{column: number, slot: number, slots: number, hidden: boolean}} Spot
 */

/**
 * The newest `count` network blocks as columns, oldest first, and the column of what waits.
 * @param {NetworkBlock[]} network ascending
 * @param {Iterable<ShardBlock>} blocks
 * @param {number} count
 * @returns {Column[]}
 */
export function columns(network, blocks, count) {
  const shown = network.slice(-count);
  /** @type {Column[]} */
  const all = shown.map((block) => ({ block, cells: new Map() }));
  const waiting = /** @type {Column} */ ({ block: null, cells: new Map() });
  const byNumber = new Map(all.map((column) => [column.block?.number, column]));
  for (const block of blocks) {
    const column = block.networkBlock === null ? waiting : byNumber.get(block.networkBlock);
    if (!column) continue;
    const cell = column.cells.get(block.shard);
    if (cell) cell.push(block);
    else column.cells.set(block.shard, [block]);
  }
  all.push(waiting);
  for (const column of all) {
    for (const cell of column.cells.values()) cell.sort((a, b) => a.height - b.height);
  }
  return all;
}

/**
 * At which place of its cell each block stands, by shard and height. What does not fit is hidden behind the first
 * one that is shown: arrows begin and end there.
 * @param {Column[]} all
 * @param {number} fit most blocks of a cell
 * @returns {Map<string, Spot>}
 */
export function spots(all, fit) {
  const found = new Map();
  all.forEach((column, index) => {
    for (const [shard, cell] of column.cells) {
      const behind = Math.max(0, cell.length - fit);
      cell.forEach((block, place) => {
        found.set(`${shard}/${block.height}`, { column: index, slot: Math.max(0, place - behind), slots: cell.length - behind, hidden: place < behind });
      });
    }
  });
  return found;
}
