// ethers v6 as a user writes it, on accounts and contracts of both shards through one endpoint.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ethers } from "ethers";
import { chainId, contract, http, until, users, ws } from "./scene.mjs";

const own = users(0);

describe("ethers", () => {
  let provider, socket, wallets, ledgers;

  before(async () => {
    provider = new ethers.JsonRpcProvider(http, undefined, { pollingInterval: 100, cacheTimeout: -1 });
    socket = new ethers.WebSocketProvider(ws);
    wallets = own.map((user) => new ethers.NonceManager(new ethers.Wallet(user.privateKey, provider)));
    ledgers = [];
    for (const wallet of wallets) {
      const factory = new ethers.ContractFactory(contract.abi, contract.bytecode, wallet);
      const deployed = await factory.deploy();
      await deployed.waitForDeployment();
      ledgers.push(deployed);
    }
  });

  after(async () => {
    await socket?.destroy();
    provider?.destroy();
  });

  test("the network is one chain", async () => {
    assert.equal((await provider.getNetwork()).chainId, BigInt(chainId));
    const block = await provider.getBlock("latest", true);
    assert.ok(block.hash && block.timestamp > 0);
    assert.equal((await provider.getBlock(block.hash)).number, block.number);
  });

  test("estimates fees", async () => {
    const fees = await provider.getFeeData();
    assert.ok(fees.maxFeePerGas > 0n && fees.gasPrice > 0n && fees.maxPriorityFeePerGas >= 0n);
    for (const [shard, ledger] of ledgers.entries()) {
      const gas = await ledger.add.estimateGas(1n, { from: own[shard].address });
      assert.ok(gas > 21_000n && gas < 200_000n, `${gas}`);
    }
  });

  for (const from of [0, 1]) {
    for (const to of [0, 1]) {
      test(`sends wei from shard ${from} to shard ${to}`, async () => {
        const target = ethers.Wallet.createRandom().address;
        const sent = await wallets[from].sendTransaction({ to: target, value: 12345n });
        const receipt = await sent.wait();
        assert.equal(receipt.status, 1);
        assert.equal(receipt.from, own[from].address);
        assert.equal(await provider.getBalance(target), 12345n);
      });

      test(`calls a contract of shard ${to} from shard ${from}`, async () => {
        const ledger = ledgers[to].connect(wallets[from]);
        const before = await ledger.by(own[from].address);
        const receipt = await (await ledger.add(7n, { value: 3n, gasLimit: 150_000n })).wait();
        assert.equal(receipt.status, 1);
        const logs = receipt.logs.map((log) => ledger.interface.parseLog(log));
        assert.deepEqual(logs.map((log) => log.name), ["Added"]);
        assert.deepEqual([...logs[0].args], [own[from].address, 7n, 3n]);
        assert.equal(await ledger.by(own[from].address), before + 7n);
      });

      test(`is told of a revert on shard ${to} from shard ${from}`, async () => {
        const ledger = ledgers[to].connect(wallets[from]);
        await assert.rejects(
          ledger.refuse.staticCall({ from: own[from].address }),
          (error) => error.code === "CALL_EXCEPTION" && error.reason === "refused on purpose",
        );
        const sent = await ledger.refuse({ gasLimit: 100_000n });
        await assert.rejects(sent.wait(), (error) => error.code === "CALL_EXCEPTION");
        assert.equal((await provider.getTransactionReceipt(sent.hash)).status, 0);
      });
    }
  }

  test("finds logs of both shards by filter", async () => {
    for (const [shard, ledger] of ledgers.entries()) {
      await (await ledger.add(1000n + BigInt(shard))).wait();
      const found = await ledger.queryFilter(ledger.filters.Added(own[shard].address), 0, "latest");
      assert.ok(found.some((log) => log.args.amount === 1000n + BigInt(shard)));
    }
    const both = await provider.getLogs({ address: await Promise.all(ledgers.map((l) => l.getAddress())) , fromBlock: 0 });
    assert.equal(new Set(both.map((log) => log.address)).size, 2);
    const places = both.map((log) => [log.blockNumber, log.index]);
    assert.deepEqual(places, [...places].sort((a, b) => a[0] - b[0] || a[1] - b[1]));
  });

  test("hears of events by polling", async () => {
    const heard = [];
    for (const ledger of ledgers) await ledger.on("Added", (...args) => heard.push(args[1]));
    await Promise.all(ledgers.map(async (ledger, shard) => (await ledger.add(2000n + BigInt(shard))).wait()));
    await until(() => heard.length >= 2, "two events");
    for (const ledger of ledgers) await ledger.removeAllListeners();
    assert.deepEqual([...heard].sort(), [2000n, 2001n]);
  });

  test("hears of blocks, logs and pending transactions over WebSocket", async () => {
    const blocks = [], logs = [], pending = [];
    await socket.on("block", (number) => blocks.push(number));
    await socket.on({ address: await ledgers[1].getAddress() }, (log) => logs.push(log));
    await socket.on("pending", (hash) => pending.push(hash));
    await socket.getBlockNumber(); // the subscriptions were asked for before
    const sent = await ledgers[1].add(3000n);
    await sent.wait();
    await until(() => blocks.length > 0 && logs.length > 0 && pending.includes(sent.hash), "all three");
    assert.equal(logs[0].transactionHash, sent.hash);
    await socket.removeAllListeners();
  });

  test("batches", async () => {
    const batching = new ethers.JsonRpcProvider(http, undefined, { batchMaxCount: 50, batchStallTime: 5 });
    const balances = await Promise.all(Array.from({ length: 50 }, (_, i) => batching.getBalance(own[i % 2].address)));
    assert.ok(balances.every((balance) => balance > 0n));
    batching.destroy();
  });

  test("sends many transactions in nonce order", async () => {
    const sent = [];
    for (let i = 0; i < 10; i++) sent.push(await wallets[0].sendTransaction({ to: own[i % 2].address, value: 1n }));
    const receipts = await Promise.all(sent.map((tx) => tx.wait()));
    assert.ok(receipts.every((receipt) => receipt.status === 1));
    assert.deepEqual(sent.map((tx) => tx.nonce), sent.map((_, i) => sent[0].nonce + i));
  });

  for (const shard of [0, 1]) {
    test(`delegates an account of shard ${shard} (EIP-7702)`, async () => {
      const signer = new ethers.Wallet(own[shard].privateKey, provider);
      const address = await ledgers[shard].getAddress();
      const nonce = await provider.getTransactionCount(signer.address);
      const authorization = await signer.authorize({ address, nonce: nonce + 1 });
      const sent = await signer.sendTransaction({ 
        type: 4, to: signer.address, data: "0x2ddbd13a", authorizationList: [authorization], nonce,
      });
      assert.equal((await sent.wait()).status, 1);
      assert.equal(await provider.getCode(signer.address), `0xef0100${address.slice(2).toLowerCase()}`);
      wallets[shard].reset();
    });
  }

  test("reads typed data signatures back", async () => {
    const wallet = new ethers.Wallet(own[0].privateKey);
    const domain = { name: "Atoll", chainId };
    const types = { Mail: [{ name: "text", type: "string" }] };
    const signature = await wallet.signTypedData(domain, types, { text: "hello" });
    assert.equal(ethers.verifyTypedData(domain, types, { text: "hello" }, signature), wallet.address);
  });

  test("is told what is wrong with a transaction", async () => {
    const poor = ethers.Wallet.createRandom().connect(provider);
    await assert.rejects(poor.sendTransaction({ to: own[0].address, value: 1n, gasLimit: 21_000n }),
      (error) => error.code === "INSUFFICIENT_FUNDS");
    const signer = new ethers.Wallet(own[1].privateKey, provider);
    await assert.rejects(signer.sendTransaction({ to: poor.address, value: 1n, nonce: 0 }),
      (error) => error.code === "NONCE_EXPIRED");
  });
});
