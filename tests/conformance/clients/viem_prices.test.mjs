// viem with nothing but its defaults, where gas costs much more on shard 1 than on shard 0.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createPublicClient, createWalletClient, defineChain, http as overHttp } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { chainId, http, prices, users } from "./scene.mjs";

const chain = defineChain({
  id: chainId, name: "Atoll", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [http] } },
});
const [own] = users(1);
const transport = overHttp(http);
const client = createPublicClient({ chain, transport, pollingInterval: 100, cacheTime: 0 });
const wallet = createWalletClient({ account: privateKeyToAccount(own.privateKey), chain, transport });

test("calls the dear shard", async () => {
  const hash = await wallet.sendTransaction({ to: prices.ledger, data: prices.add });
  assert.equal((await client.waitForTransactionReceipt({ hash })).status, "success");
});

test("pays what gas costs on its own shard for what stays there", async () => {
  const hash = await wallet.sendTransaction({ to: prices.neighbour, value: 1n });
  const { status, effectiveGasPrice } = await client.waitForTransactionReceipt({ hash });
  const { baseFeePerGas } = await client.getBlock();
  assert.equal(status, "success");
  assert.ok(effectiveGasPrice < baseFeePerGas / 4n, `${effectiveGasPrice} of ${baseFeePerGas}`);
});

test("calls a contract that sends to the dear shard", async () => {
  const value = (await client.getGasPrice()) * BigInt(prices.gas);
  const hash = await wallet.sendTransaction({ to: prices.asker, data: prices.ask, value });
  assert.equal((await client.waitForTransactionReceipt({ hash })).status, "success");
});
