import assert from "node:assert/strict";
import test from "node:test";

const at = process.env.DASHBOARD;
const { Rates, Samples, quantile, ticks } = await import(`${at}/series.js`);

test("rates are counted by buckets, and empty ones are zero", () => {
  const rates = new Rates(1000, 5);
  rates.add(10_000, 4);
  rates.add(10_900, 2);
  rates.add(13_000, 1);
  assert.deepEqual(rates.points(14_000), [[10_000, 6], [11_000, 0], [12_000, 0], [13_000, 1]]);
  assert.equal(rates.mean(14_000, 2000), 0.5);
  assert.deepEqual(rates.points(60_000).map(([, value]) => value), [0, 0, 0, 0]);
  rates.add(60_000, 9);
  assert.equal(rates.points(61_000).at(-1)[1], 9);
});

test("samples are bounded in number and age", () => {
  const samples = new Samples(10);
  for (let i = 0; i < 1000; i += 1) samples.add(i, i);
  assert.deepEqual(samples.points(999, 3), [[996, 996], [997, 997], [998, 998], [999, 999]]);
  assert.equal(samples.points(999, 1e9).length, 10);
  assert.ok(samples.values.length <= 20);
});

test("quantiles", () => {
  assert.equal(quantile([], 0.5), null);
  assert.equal(quantile([7], 0.95), 7);
  assert.equal(quantile([3, 1, 2, 4], 0.5), 2);
  assert.equal(quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.95), 10);
});

test("ticks are round, begin with zero and reach the largest value", () => {
  assert.deepEqual(ticks(0), [0, 1]);
  assert.deepEqual(ticks(4), [0, 1, 2, 3, 4]);
  assert.deepEqual(ticks(0.07), [0, 0.02, 0.04, 0.06, 0.08]);
  for (const max of [0.001, 0.3, 1, 7, 99, 101, 12345]) {
    const scale = ticks(max);
    assert.ok(scale.at(-1) >= max * (1 - 1e-9) && scale.length <= 6, `${max}: ${scale}`);
  }
});
