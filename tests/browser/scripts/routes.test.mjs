import assert from "node:assert/strict";
import test from "node:test";

const at = process.env.DASHBOARD;
const { classify, parse, to } = await import(`${at}/routes.js`);

const HASH = "0x" + "Ab".repeat(32);
const ADDRESS = "0x" + "Cd".repeat(20);

test("every address that is made names its view", () => {
  assert.deepEqual(parse(""), { view: "overview" });
  assert.deepEqual(parse("#/"), { view: "overview" });
  assert.deepEqual(parse(to.block(7)), { view: "block", number: 7 });
  assert.deepEqual(parse(to.shardBlock(2, 9)), { view: "shardBlock", shard: 2, number: 9 });
  assert.deepEqual(parse(to.transaction(HASH)), { view: "transaction", hash: HASH.toLowerCase() });
  assert.deepEqual(parse(to.message(HASH)), { view: "message", id: HASH.toLowerCase() });
  assert.deepEqual(parse(to.address(ADDRESS)), { view: "address", address: ADDRESS.toLowerCase() });
  assert.deepEqual(parse(to.search("a/b ü?%")), { view: "search", query: "a/b ü?%" });
});

test("what is no address names nothing", () => {
  for (const hash of ["#/tx/0x12", "#/block/-1", "#/block/1e3", `#/address/${HASH}`, "#/tx/", "#/nowhere", "#/shard/1"]) {
    assert.equal(parse(hash).view, "unknown", hash);
  }
  assert.deepEqual(parse("#/search/%zz"), { view: "search", query: "%zz" });
});

test("a search is known by its form", () => {
  assert.deepEqual(classify(" 42 "), { kind: "number", number: 42 });
  assert.deepEqual(classify("#42"), { kind: "number", number: 42 });
  for (const text of ["1:42", "s1:42", "shard 1 / 42", "S1#42"]) {
    assert.deepEqual(classify(text), { kind: "shardBlock", shard: 1, number: 42 }, text);
  }
  assert.deepEqual(classify(HASH), { kind: "hash", hash: HASH.toLowerCase() });
  assert.deepEqual(classify(HASH.slice(2)), { kind: "hash", hash: HASH.toLowerCase() });
  assert.deepEqual(classify(ADDRESS), { kind: "address", address: ADDRESS.toLowerCase() });
  assert.deepEqual(classify("s0v0"), { kind: "name", name: "s0v0" });
});

test("a search for nothing says what is wrong with it", () => {
  assert.match(classify("").why, /Nothing/);
  assert.match(classify("0x12").why, /2 hex digits: an address has 40/);
  assert.match(classify("0xzz").why, /only the digits/);
});
