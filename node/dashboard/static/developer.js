// What a developer may do to a network whose genesis allows it: money, transfers, blocks and time, faults.

import { h, put } from "./dom.js";
import { faults } from "./faults.js";
import { clock, duration, number, parseEther } from "./format.js";
import { field, tool } from "./forms.js";
import { to } from "./routes.js";
import { addressLink, ethAmount, hashLink, notice } from "./ui.js";

/** @typedef {import("./live.js").Live} Live */

const ADDRESS = /^0x[0-9a-f]{40}$/i;

/** @param {Live} live */
export function developer(live) {
  const node = h("article");
  /** @type {(() => void)[]} */
  let updates = [];
  let shown = /** @type {boolean | null} */ (null);

  function update() {
    const allowed = live.status ? live.devMethods : null;
    if (allowed !== shown || shown === null) {
      shown = allowed;
      build(allowed);
    }
    updates.forEach((one) => one());
  }

  /** @param {boolean | null} allowed */
  function build(allowed) {
    updates = [];
    if (allowed === null) put(node, notice("Asking the node…"));
    else if (!allowed) {
      put(node, notice("Development methods are off", "The genesis of this network has dev_methods = false: its accounts change by transactions only.", "Networks made by `atoll up` allow them, and those whose manifest has dev_methods = true in [params]."));
    } else {
      const parts = [faucet(live), transfer(live), time(live), faults(live)];
      updates = parts.flatMap((part) => part.update ?? []);
      put(node, h("header", { class: "heading" }, h("h1", { tabindex: "-1" }, "Developer")), h("p", { class: "hint" }, "Every client of this endpoint may change accounts and time of this network. The keys of its accounts are public."), h("div", { class: "tools" }, parts.map((part) => part.node)));
    }
  }

  return { node, title: "Developer", update };
}

/** @param {string} text */
function checkedAddress(text) {
  const address = text.trim();
  if (!ADDRESS.test(address)) throw new Error(`“${address}” is no address: 0x and 40 hex digits`);
  return address.toLowerCase();
}

/** @param {Live} live */
function faucet(live) {
  const recipient = h("input", { type: "text", required: true, spellcheck: "false", autocomplete: "off", placeholder: "0x…", name: "faucet-address" });
  const sum = h("input", { type: "text", required: true, inputmode: "decimal", value: "10", name: "faucet-amount" });
  return {
    node: tool("Faucet", "Gives an account money that was not there before; the audit counts it as issued.", [field("Address", recipient), field("ETH", sum)], "Give", async () => {
      const address = checkedAddress(recipient.value);
      await live.connection.call("anvil_addBalance", [address, `0x${parseEther(sum.value).toString(16)}`]);
      const balance = await live.connection.call("eth_getBalance", [address, "latest"]);
      return h("span", null, addressLink(address), " has ", ethAmount(balance));
    }),
  };
}

/** @param {Live} live */
function transfer(live) {
  const from = h("select", { name: "transfer-from" });
  const target = h("select", { name: "transfer-to" });
  const sum = h("input", { type: "text", required: true, inputmode: "decimal", value: "1", name: "transfer-amount" });
  let filled = false;

  async function fill() {
    if (filled || !live.ids.length) return;
    filled = true;
    try {
      const accounts = await live.connection.call("eth_accounts");
      const homes = await Promise.all(accounts.map((/** @type {string} */ a) => live.connection.call("atoll_home", [a])));
      const option = (/** @type {string} */ a, /** @type {number} */ i) => h("option", { value: a }, `shard ${number(homes[i])} · ${a.slice(0, 10)}…${a.slice(-4)}`);
      put(from, accounts.map(option));
      put(target, accounts.map(option));
      const other = homes.findIndex((home) => home !== homes[0]);
      if (other >= 0) target.selectedIndex = other;
    } catch {
      filled = false;
    }
  }

  return {
    node: tool("Transfer", "Sends ETH between the development accounts of this node. Between shards it becomes a message: watch it on the overview.", [field("From", from), field("To", target), field("ETH", sum)], "Send", async () => {
      if (!from.value) throw new Error("This node signs for no account: rpc.expose_accounts is off");
      const hash = await live.connection.call("eth_sendTransaction", [{ from: from.value, to: target.value, value: `0x${parseEther(sum.value).toString(16)}` }]);
      return h("span", null, "Sent: ", hashLink(hash, to.transaction(hash), { what: "transaction hash" }));
    }),
    update: fill,
  };
}

/** @param {Live} live */
function time(live) {
  const seconds = h("input", { type: "number", required: true, min: 1, max: 315_360_000, value: 3600, name: "time-seconds" });
  const blocks = h("input", { type: "number", required: true, min: 1, max: 64, value: 1, name: "time-blocks" });
  const now = h("p", { class: "hint" });
  const forward = tool("Time", "Puts the clock of all shards ahead. It does not go back.", [now, field("Seconds", seconds)], "Go ahead", async () => {
    const ahead = await live.connection.call("evm_increaseTime", [Number(seconds.value)]);
    return `The network is ${duration(Number(ahead))} ahead of the clock on the wall`;
  });
  const mine = tool("Blocks", "Makes every shard decide so many blocks, one after the other.", [field("Blocks", blocks)], "Make blocks", async () => {
    await live.connection.call("anvil_mine", [`0x${Number(blocks.value).toString(16)}`]);
    const head = await live.connection.call("eth_blockNumber");
    return h("span", null, "Done: the network is at ", h("a", { href: to.block(number(head)) }, `block ${number(head)}`));
  });
  return {
    node: [forward, mine],
    update: () => {
      const head = live.head;
      if (head) now.textContent = `The newest network block says ${clock(head.timestamp)}.`;
    },
  };
}

