// viem's test actions, as test suites for anvil and hardhat use them, on accounts of both shards.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import {
  createTestClient, defineChain, getAddress, http as overHttp, keccak256, numberToHex, pad, parseEther,
  publicActions, walletActions,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { chainId, http } from "./scene.mjs";

const chain = defineChain({
  id: chainId, name: "Atoll", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [http] } },
});
const SLOT_0 = "0x5f545f5260205ff3"; // returns the word in slot 0

// By range: the top bit of keccak256(address) says which of two shards.
function freshAddress(shard) {
  for (;;) {
    const { address } = privateKeyToAccount(generatePrivateKey());
    if (parseInt(keccak256(address).slice(2, 4), 16) >> 7 === shard) return address;
  }
}

for (const mode of ["anvil", "hardhat"]) {
  describe(`viem's test client for ${mode}`, () => {
    const client = createTestClient({ chain, mode, transport: overHttp(http), pollingInterval: 100, cacheTime: 0 })
      .extend(publicActions).extend(walletActions);
    let latest;

    before(async () => {
      latest = () => client.getBlock({ blockTag: "latest" });
    });

    for (const shard of [0, 1]) {
      test(`changes an account of shard ${shard}`, async () => {
        const address = freshAddress(shard);
        await client.setBalance({ address, value: parseEther("3") });
        assert.equal(await client.getBalance({ address }), parseEther("3"));
        await client.setNonce({ address, nonce: 5 });
        assert.equal(await client.getTransactionCount({ address }), 5);
        await client.setCode({ address, bytecode: SLOT_0 });
        assert.equal(await client.getCode({ address }), SLOT_0);
        await client.setStorageAt({ address, index: 0, value: pad(numberToHex(69)) });
        assert.equal(await client.getStorageAt({ address, slot: "0x0" }), pad(numberToHex(69)));
        assert.equal((await client.call({ to: address })).data, pad(numberToHex(69)));
      });

      test(`impersonates an account of shard ${shard}`, async () => {
        const [address, to] = [freshAddress(shard), freshAddress(1 - shard)];
        await client.setBalance({ address, value: parseEther("1") });
        await client.impersonateAccount({ address });
        const hash = await client.sendTransaction({ account: address, to, value: 11n });
        await client.stopImpersonatingAccount({ address });
        const receipt = await client.waitForTransactionReceipt({ hash });
        assert.equal(receipt.status, "success");
        assert.equal(getAddress(receipt.from), address);
        assert.equal(await client.getBalance({ address: to }), 11n);
        await assert.rejects(client.sendTransaction({ account: address, to, value: 11n }), /unknown account/);
        const unsigned = await client.sendUnsignedTransaction({ from: address, to, value: 1n });
        await client.waitForTransactionReceipt({ hash: unsigned });
        assert.equal(await client.getBalance({ address: to }), 12n);
      });
    }

    test("mines", async () => {
      const { number } = await latest();
      await client.mine({ blocks: 2 });
      assert.ok((await latest()).number >= number + 2n);
      assert.equal(await client.getAutomine(), true);
      await client.setAutomine(true);
      await client.setAutomine(false);
      assert.equal(await client.getAutomine(), false);
      await client.setIntervalMining({ interval: 1 });
      await client.setIntervalMining({ interval: 0 });
      await client.setAutomine(true);
      await assert.rejects(client.setNextBlockBaseFeePerGas({ baseFeePerGas: 1n }), /from the genesis on/);
    });

    test("goes back", async () => {
      const address = "0x00000000000000000000000000000000000bacc0";
      const balance = await client.getBalance({ address });
      const id = await client.snapshot();
      await client.setBalance({ address, value: balance + 7n });
      const { number } = await latest();
      await client.revert({ id });
      assert.equal(await client.getBalance({ address }), balance);
      assert.ok((await latest()).number < number);
    });

    test("moves time", async () => {
      const { timestamp } = await latest();
      await client.increaseTime({ seconds: 420 });
      await client.mine({ blocks: 1 });
      const later = await latest();
      assert.ok(later.timestamp >= timestamp + 420n);
      await client.setNextBlockTimestamp({ timestamp: later.timestamp + 1000n });
      await client.mine({ blocks: 1 });
      assert.ok((await latest()).timestamp >= later.timestamp + 1000n);
      await client.mine({ blocks: 2, interval: 50 });
    });
  });
}
