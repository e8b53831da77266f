import assert from "node:assert/strict";
import test from "node:test";

const at = process.env.DASHBOARD;
const { Flow, underWay } = await import(`${at}/flow.js`);
const { columns, spots } = await import(`${at}/columns.js`);

const message = (seq, src = 0, dst = 1) => ({ id: `0x${src}${dst}${seq}`, kind: "CALL", src, dst, seq, from: "0x", to: "0x", value: "0x0" });
const sent = (seq, block, src, dst) => ({ event: "sent", shard: src ?? 0, block, index: 0, message: message(seq, src, dst) });
const finalised = (seq, networkBlock) => ({ event: "finalised", shard: 0, block: 1, index: 0, networkBlock, message: message(seq) });
const delivered = (seq, block, outcome = "ok") => ({ event: "delivered", shard: 1, block, index: 0, outcome, message: message(seq) });

test("what a block sends on a lane is one group, which arrives when all of it has", () => {
  const flow = new Flow();
  const arrived = [];
  flow.arrived = (group) => arrived.push(group);
  for (let seq = 5; seq < 8; seq += 1) flow.take(sent(seq, 40), 1000);
  flow.take(sent(8, 41), 1100);
  const [first, second] = flow.groups();
  assert.deepEqual([first.block, first.first, first.count], [40, 5, 3]);
  assert.deepEqual([second.block, second.first, second.count], [41, 8, 1]);
  flow.take(finalised(5, 90), 1200);
  flow.take(finalised(6, 90), 1300);
  assert.deepEqual([first.networkBlock, first.finalisedAt], [90, 1200]);
  flow.take(delivered(5, 60), 2000);
  flow.take(delivered(6, 60, "failed"), 2000);
  assert.ok(underWay(first));
  flow.take(delivered(7, 61), 2500);
  assert.ok(!underWay(first));
  assert.deepEqual(arrived, [first]);
  assert.deepEqual([first.deliveredIn, first.deliveredAt, first.failed], [61, 2500, 1]);
  assert.ok(underWay(second));
});

test("lanes do not mix, and what was sent before is only counted", () => {
  const flow = new Flow();
  flow.take(sent(1, 10, 0, 1), 0);
  flow.take(sent(1, 10, 1, 0), 0);
  assert.deepEqual(flow.groups().map((group) => group.key), ["0>1@10", "1>0@10"]);
  flow.take(delivered(0, 3), 0);
  assert.equal(flow.delivered, 1);
  assert.ok(flow.groups().every(underWay));
});

test("memory is bounded, however many messages there are", () => {
  const flow = new Flow();
  let seq = 0;
  for (let block = 0; block < 2000; block += 1) {
    for (let i = 0; i < 100; i += 1, seq += 1) {
      flow.take(sent(seq, block), block);
      flow.take(delivered(seq, block), block);
    }
  }
  assert.equal(flow.delivered, 200_000);
  assert.ok(flow.groups().length <= 100);
  assert.ok(flow.recent.size <= 60);
  assert.ok(flow.recent.has(`0x01${seq - 1}`));
});

test("what was missed is forgotten, not shown for ever", () => {
  const flow = new Flow();
  flow.take(sent(1, 1), 0);
  flow.forget();
  assert.deepEqual(flow.groups(), []);
});

test("a column is a network block with what it made final; what waits is last", () => {
  const network = [3, 4, 5].map((number) => ({ number, timestamp: number, hash: `0x${number}` }));
  const block = (shard, height, networkBlock) => ({ shard, height, hash: "", gasUsed: 0, transactions: 0, arrivals: 0, networkBlock });
  const blocks = [block(0, 8, 4), block(1, 6, 5), block(0, 9, 5), block(0, 10, 5), block(0, 11, null), block(0, 1, 2)];
  const all = columns(network, blocks, 2);
  assert.deepEqual(all.map((column) => column.block?.number ?? null), [4, 5, null]);
  assert.deepEqual(all[1].cells.get(0).map((b) => b.height), [9, 10]);
  const places = spots(all, 4);
  assert.deepEqual(places.get("0/10"), { column: 1, slot: 1, slots: 2, hidden: false });
  assert.deepEqual(places.get("0/11"), { column: 2, slot: 0, slots: 1, hidden: false });
  assert.equal(places.get("0/1"), undefined);
  // An arrow from a block that does not fit is still there.
  assert.deepEqual(spots(all, 1).get("0/9"), { column: 1, slot: 0, slots: 1, hidden: true });
  assert.deepEqual(spots(all, 1).get("0/10"), { column: 1, slot: 0, slots: 1, hidden: false });
});
