// Values as people read them. Pure; amounts of wei are BigInt or 0x strings.

const ETHER = 10n ** 18n;
const GWEI = 10n ** 9n;

/**
 * The whole amount in ether, without trailing zeros: "0.000006344726564".
 * @param {bigint | string | number} wei
 */
export function ether(wei) {
  return decimal(BigInt(wei), ETHER, 18);
}

/**
 * An amount for a glance: at most `places` decimals, and "< 0.0001" for what they do not show. Groups of
 * three digits are parted as by `grouped`.
 * @param {bigint | string | number} wei
 */
export function amount(wei, places = 4) {
  const value = BigInt(wei);
  const unit = ETHER / 10n ** BigInt(places);
  const magnitude = value < 0n ? -value : value;
  if (magnitude !== 0n && magnitude < unit) return `${value < 0n ? "> −" : "< "}${decimal(unit, ETHER, 18)}`;
  const [whole, fraction] = decimal(value - (value % unit), ETHER, 18).split(".");
  return grouped(whole) + (fraction ? `.${fraction}` : "");
}

/** @param {bigint | string | number} wei */
export function gwei(wei) {
  return decimal(BigInt(wei), GWEI, 9);
}

/**
 * @param {bigint} value
 * @param {bigint} unit
 * @param {number} places
 */
function decimal(value, unit, places) {
  const sign = value < 0n ? "−" : "";
  const magnitude = value < 0n ? -value : value;
  const fraction = (magnitude % unit).toString().padStart(places, "0").replace(/0+$/, "");
  return `${sign}${magnitude / unit}${fraction && `.${fraction}`}`;
}

/**
 * Whole numbers with groups of three digits, parted by a narrow space that does not break: 1 234 567.
 * @param {number | bigint | string} value
 */
export function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/**
 * Wei of an amount in ether that a person typed. Throws an Error that says what is wrong.
 * @param {string} text
 * @returns {bigint}
 */
export function parseEther(text) {
  const found = /^(\d{0,30})(?:[.,](\d*))?$/.exec(text.trim());
  if (!found || (!found[1] && !found[2])) throw new Error(`“${text.trim()}” is no amount of ETH, such as 1.5`);
  const fraction = found[2] ?? "";
  if (fraction.length > 18) throw new Error("An amount of ETH has at most 18 decimals");
  return BigInt(found[1] || "0") * ETHER + BigInt(fraction.padEnd(18, "0"));
}

/**
 * The two ends of a hash or an address.
 * @param {string} hash
 */
export function short(hash, head = 6, tail = 4) {
  return hash.length <= head + tail + 3 ? hash : `${hash.slice(0, 2 + head)}…${hash.slice(-tail)}`;
}

/**
 * How long a time is, in the unit that suits it.
 * @param {number} seconds
 */
export function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 99.5) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

/**
 * A rate per second.
 * @param {number} value
 */
export function rate(value) {
  if (value === 0) return "0";
  if (value < 9.95) return value.toFixed(1);
  return grouped(Math.round(value));
}

/**
 * Date and time of a unix time in seconds, in the reader's time zone: "2026-11-27 20:51:04".
 * @param {number} seconds
 */
export function clock(seconds) {
  const d = new Date(seconds * 1000);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const date = [d.getFullYear(), two(d.getMonth() + 1), two(d.getDate())].join("-");
  return `${date} ${[two(d.getHours()), two(d.getMinutes()), two(d.getSeconds())].join(":")}`;
}

/**
 * "1 message", "3 messages".
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun, many = `${noun}s`) {
  return `${grouped(count)} ${count === 1 ? noun : many}`;
}

/**
 * A number of JSON-RPC: 0x hex, or plain.
 * @param {string | number} value
 */
export function number(value) {
  return typeof value === "number" ? value : Number(BigInt(value));
}

/**
 * Hex data as text where it is printable ASCII or UTF-8 text, else null.
 * @param {string} data
 */
export function asText(data) {
  const bytes = new Uint8Array((data.slice(2).match(/../g) ?? []).map((pair) => parseInt(pair, 16)));
  if (!bytes.length) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return /^[\P{C}\n\t]+$/u.test(text) ? text : null;
  } catch {
    return null;
  }
}
