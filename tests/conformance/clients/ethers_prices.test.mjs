// ethers v6 with nothing but its defaults, where gas costs much more on shard 1 than on shard 0.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ethers } from "ethers";
import { http, prices, users } from "./scene.mjs";

const [own] = users(0);
const provider = new ethers.JsonRpcProvider(http, undefined, { pollingInterval: 100, cacheTimeout: -1 });
const wallet = new ethers.Wallet(own.privateKey, provider);

after(() => provider.destroy());

test("calls the dear shard", async () => {
  const sent = await wallet.sendTransaction({ to: prices.ledger, data: prices.add });
  assert.equal((await sent.wait()).status, 1);
});

test("pays what gas costs on its own shard for what stays there", async () => {
  const sent = await wallet.sendTransaction({ to: prices.neighbour, value: 1n });
  const { status, gasPrice } = await sent.wait();
  const { baseFeePerGas } = await provider.getBlock("latest");
  assert.equal(status, 1);
  assert.ok(gasPrice < baseFeePerGas / 4n, `${gasPrice} of ${baseFeePerGas}`);
});

test("calls a contract that sends to the dear shard", async () => {
  const { gasPrice } = await provider.getFeeData();
  const value = gasPrice * BigInt(prices.gas);
  const sent = await wallet.sendTransaction({ to: prices.asker, data: prices.ask, value });
  assert.equal((await sent.wait()).status, 1);
});
