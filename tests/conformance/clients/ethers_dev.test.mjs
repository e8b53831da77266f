// ethers with what hardhat's network helpers call, on accounts of both shards.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { ethers } from "ethers";
import { http } from "./scene.mjs";

describe("ethers and hardhat's methods", () => {
  const provider = new ethers.JsonRpcProvider(http, undefined, { pollingInterval: 100, cacheTimeout: -1 });
  after(() => provider.destroy());

  // By range: the top bit of keccak256(address) says which of two shards.
  function freshAddress(shard) {
    for (;;) {
      const { address } = ethers.Wallet.createRandom();
      if (parseInt(ethers.keccak256(address).slice(2, 4), 16) >> 7 === shard) return address;
    }
  }

  for (const shard of [0, 1]) {
    test(`an account of shard ${shard} is funded and impersonated`, async () => {
      const [address, to] = [freshAddress(shard), freshAddress(1 - shard)];
      await provider.send("hardhat_setBalance", [address, ethers.toQuantity(ethers.parseEther("2"))]);
      assert.equal(await provider.getBalance(address), ethers.parseEther("2"));
      await provider.send("hardhat_impersonateAccount", [address]);
      const signer = new ethers.JsonRpcSigner(provider, address);
      const sent = await signer.sendTransaction({ to, value: 7n });
      const receipt = await sent.wait();
      assert.equal(receipt.status, 1);
      assert.equal(receipt.from, address);
      assert.equal(sent.from, address);
      await provider.send("hardhat_stopImpersonatingAccount", [address]);
      assert.equal(await provider.getBalance(to), 7n);
    });
  }

  test("a block of a shard that lists an operation can be read", async () => {
    await provider.send("hardhat_setNonce", [freshAddress(1), "0x3"]);
    const shard = new ethers.JsonRpcProvider(`${http}/shard/1`, undefined, { cacheTimeout: -1 });
    const head = await shard.getBlockNumber();
    let found = 0;
    for (let number = head; number > Math.max(0, head - 6); number--) {
      const block = await shard.getBlock(number, true);
      found += block.prefetchedTransactions.filter((tx) => tx.type === 0x7c).length;
    }
    shard.destroy();
    assert.ok(found >= 1);
  });
});
