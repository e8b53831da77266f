import assert from "node:assert/strict";
import test from "node:test";

const at = process.env.DASHBOARD;
const f = await import(`${at}/format.js`);

const ETHER = 10n ** 18n;

test("amounts of wei lose nothing", () => {
  assert.equal(f.ether(0n), "0");
  assert.equal(f.ether("0xde0b6b3a7640000"), "1");
  assert.equal(f.ether(1n), "0.000000000000000001");
  assert.equal(f.ether(12345n * ETHER + 10n ** 17n), "12345.1");
  assert.equal(f.ether(-3n * ETHER), "−3");
  for (const wei of [0n, 1n, 999n, ETHER - 1n, ETHER, 2n ** 128n]) assert.equal(f.parseEther(f.ether(wei)), wei);
});

test("an amount for a glance is never rounded up, and nothing is not something", () => {
  assert.equal(f.amount(0n), "0");
  assert.equal(f.amount(1n), "< 0.0001");
  assert.equal(f.amount(-1n), "> −0.0001");
  assert.equal(f.amount(ETHER - 1n), "0.9999");
  assert.equal(f.amount(1234567n * ETHER), "1\u202f234\u202f567");
  assert.equal(f.amount(15n * 10n ** 17n, 6), "1.5");
});

test("what is no amount is said to be none", () => {
  for (const text of ["", ".", "1,2,3", "-1", "1e3", "0x10", "abc", "0.0000000000000000001"]) {
    assert.throws(() => f.parseEther(text), Error, text);
  }
  assert.equal(f.parseEther(" 1,5 "), 15n * 10n ** 17n);
  assert.equal(f.parseEther(".5"), 5n * 10n ** 17n);
});

test("times have the unit that suits them", () => {
  const said = [0, 0.0304, 0.9996, 1.25, 9.96, 59, 119, 5399, 7200, 90000, 200000].map(f.duration);
  assert.deepEqual(said, ["0 ms", "30 ms", "1.0 s", "1.3 s", "10 s", "59 s", "2 min", "90 min", "2 h", "25 h", "2 d"]);
});

test("numbers, hashes and words", () => {
  assert.equal(f.grouped(999), "999");
  assert.equal(f.grouped(1000), "1\u202f000");
  assert.equal(f.short("0x" + "ab".repeat(20)), "0xababab…abab");
  assert.equal(f.short("0x1234"), "0x1234");
  assert.equal(f.plural(1, "message"), "1 message");
  assert.equal(f.plural(0, "message"), "0 messages");
  assert.equal(f.number("0x10"), 16);
  assert.equal(f.number(7), 7);
  assert.equal(f.rate(0), "0");
  assert.equal(f.rate(0.04), "0.0");
  assert.equal(f.rate(12345.6), "12\u202f346");
});

test("data is shown as text only where it is one", () => {
  assert.equal(f.asText("0x68656c6c6f"), "hello");
  assert.equal(f.asText("0xc3bc"), "ü");
  assert.equal(f.asText("0x"), null);
  assert.equal(f.asText("0xff"), null);
  assert.equal(f.asText("0x00"), null);
});
