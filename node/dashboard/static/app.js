// Puts the page together: the connection, the views and their addresses, keys, theme.

import { address } from "./address.js";
import { networkBlock, shardBlock } from "./blocks.js";
import { coalesced, h, put, say, set } from "./dom.js";
import { developer } from "./developer.js";
import { duration } from "./format.js";
import { Live } from "./live.js";
import { message } from "./message.js";
import { overview } from "./overview.js";
import { parse, to } from "./routes.js";
import { Connection } from "./rpc.js";
import { resolve, results } from "./search.js";
import { transaction } from "./transaction.js";
import { announce, notice } from "./ui.js";
import { validators } from "./validators.js";

/** @typedef {import("./explorer.js").View} View */

const DRAW_MILLISECONDS = 100;
const TICK_MILLISECONDS = 500;

const byId = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const main = byId("main");
const connection = new Connection(new URL(".", location.href).href);
const live = new Live(connection);
/** @type {View | null} */
let view = null;
let fresh = true;

/** @param {any} place @returns {View} */
function open(place) {
  switch (place.view) {
    case "overview":
      return overview(live);
    case "validators":
      return validators(live);
    case "developer":
      return developer(live);
    case "block":
      return networkBlock(live, place.number);
    case "shardBlock":
      return shardBlock(live, place.shard, place.number);
    case "transaction":
      return transaction(live, place.hash);
    case "message":
      return message(live, place.id);
    case "address":
      return address(live, place.address);
    case "search":
      return results(live, place.query);
    default:
      return { node: notice("There is no such page", `${place.path} names nothing here.`, h("a", { href: "#/" }, "To the overview")), title: "Not found" };
  }
}

function show() {
  const place = parse(location.hash);
  view?.stop?.();
  view = open(place);
  put(main, view.node);
  document.title = `${view.title} · Atoll`;
  for (const link of document.querySelectorAll("nav.main a")) {
    set(link, "aria-current", link.getAttribute("href") === `#/${place.view === "overview" ? "" : place.view}` ? "page" : null);
  }
  draw();
  if (!fresh) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
    announce(view.title);
  }
  fresh = false;
}

function draw() {
  set(byId("developer-link"), "hidden", !live.devMethods);
  view?.fresh?.();
  view?.update?.();
}

// ------------------------------------------------------------------ the connection

function connectionChanged() {
  const { state } = connection;
  const pill = byId("connection");
  const words = { connecting: "Connecting…", open: live.status?.name ? `Node ${live.status.name}` : "Connected", away: "Node away" };
  say(pill.lastElementChild, words[state]);
  set(pill, "data-state", state);
  const banner = byId("away");
  const hidden = state !== "away";
  if (banner.hidden !== hidden) {
    banner.hidden = hidden;
    announce(hidden ? "The node is back" : "The node is away");
  }
  if (!hidden) {
    const wait = Math.max(0, connection.retryAt - Date.now()) / 1000;
    say(byId("away-when"), wait < 0.5 ? "Trying to reach it…" : `Trying again in ${duration(Math.ceil(wait))}.`);
  }
}

// ------------------------------------------------------------------ theme, search, keys

function themeNow() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function toggleTheme() {
  const next = themeNow() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("atoll-theme", next);
  } catch {
    // It lasts as long as the page.
  }
  showTheme();
}

function showTheme() {
  const dark = themeNow() === "dark";
  set(byId("theme"), "aria-pressed", String(dark));
  set(byId("theme"), "title", dark ? "Light theme (t)" : "Dark theme (t)");
}

/** @param {Event} event */
async function search(event) {
  event.preventDefault();
  const input = byId("query");
  const query = input.value.trim();
  if (!query) return;
  const status = byId("search-status");
  say(status, "Searching…");
  try {
    const found = await resolve(live, query);
    if ("href" in found) {
      say(status, "");
      input.value = "";
      location.hash = found.href;
    } else {
      say(status, "");
      location.hash = to.search(query);
    }
  } catch (error) {
    say(status, /** @type {Error} */ (error).message);
  }
}

const KEYS = /** @type {Record<string, () => void>} */ ({
  "/": () => byId("query").select(),
  "?": () => byId("help").showModal(),
  t: toggleTheme,
  o: () => (location.hash = "#/"),
  v: () => (location.hash = "#/validators"),
  d: () => live.devMethods && (location.hash = "#/developer"),
});

/** @param {KeyboardEvent} event */
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const target = /** @type {HTMLElement} */ (event.target);
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) {
    if (event.key === "Escape") target.blur();
    return;
  }
  const act = view?.keys?.[event.key] ?? KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

// ------------------------------------------------------------------ life

const redraw = coalesced(() => view?.fresh?.(), DRAW_MILLISECONDS);
live.changed = redraw;
connection.changed = connectionChanged;
window.setInterval(() => {
  connectionChanged();
  if (document.hidden) return;
  set(byId("developer-link"), "hidden", !live.devMethods);
  view?.update?.();
}, TICK_MILLISECONDS);
window.addEventListener("hashchange", show);
document.addEventListener("keydown", key);
byId("search").addEventListener("submit", search);
byId("theme").addEventListener("click", toggleTheme);
byId("help-button").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());
byId("away-now").addEventListener("click", () => connection.connect());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
byId("skip").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault();
  main.focus();
});
showTheme();
show();
connection.connect();
