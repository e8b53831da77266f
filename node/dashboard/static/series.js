// Measurements over time with bounded memory. Pure: times come in as arguments, in milliseconds.

/** Counts per bucket of time: how much happened in each of the last `length` buckets. */
export class Rates {
  /** @param {number} width of a bucket, milliseconds @param {number} length */
  constructor(width, length) {
    this.width = width;
    this.length = length;
    this.counts = new Array(length).fill(0);
    this.bucket = 0; // the newest, as a number since 1970
    this.since = 0; // the first that was measured
  }

  /** @param {number} now @param {number} count */
  add(now, count) {
    this.advance(now);
    this.counts[this.bucket % this.length] += count;
  }

  /** @param {number} now */
  advance(now) {
    const bucket = Math.floor(now / this.width);
    if (!this.since) this.since = this.bucket = bucket;
    const steps = Math.min(bucket - this.bucket, this.length);
    for (let i = 1; i <= steps; i += 1) this.counts[(bucket - steps + i) % this.length] = 0;
    this.bucket = Math.max(this.bucket, bucket);
  }

  /**
   * [time in milliseconds, per second] of the buckets that are over, oldest first.
   * @param {number} now
   * @returns {[number, number][]}
   */
  points(now) {
    this.advance(now);
    const out = /** @type {[number, number][]} */ ([]);
    for (let b = Math.max(this.since, this.bucket - this.length + 1); b < this.bucket; b += 1) {
      out.push([b * this.width, (this.counts[b % this.length] * 1000) / this.width]);
    }
    return out;
  }

  /** Per second over the last `milliseconds`. @param {number} now @param {number} milliseconds */
  mean(now, milliseconds) {
    const points = this.points(now).slice(-Math.max(1, Math.round(milliseconds / this.width)));
    return points.length ? points.reduce((sum, [, value]) => sum + value, 0) / points.length : 0;
  }
}

/** The newest `length` values, each with its time. */
export class Samples {
  /** @param {number} length */
  constructor(length) {
    this.length = length;
    /** @type {[number, number][]} */
    this.values = [];
  }

  /** @param {number} now @param {number} value */
  add(now, value) {
    this.values.push([now, value]);
    if (this.values.length > 2 * this.length) this.values = this.values.slice(-this.length);
  }

  /** Those not older than `age` milliseconds, oldest first. @param {number} now @param {number} age */
  points(now, age) {
    return this.values.slice(-this.length).filter(([time]) => now - time <= age);
  }
}

/**
 * The value that a share of all values do not exceed; null of none.
 * @param {number[]} values
 * @param {number} share 0 to 1
 */
export function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1 + (share === 0 ? 1 : 0))];
}

/**
 * Round values for an axis from 0 to at least `max`: at most `most` steps.
 * @param {number} max
 * @returns {number[]}
 */
export function ticks(max, most = 4) {
  if (!(max > 0)) return [0, 1];
  const rough = max / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * (1 - 1e-9)) ?? 10 * power;
  const out = [];
  for (let i = 0; i * step < max + step * (1 - 1e-9); i += 1) out.push(Number((i * step).toPrecision(12)));
  return out;
}
