// viem as a user writes it, on accounts and contracts of both shards through one endpoint.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  encodeFunctionData,
  createPublicClient, createTestClient, createWalletClient, defineChain, http as overHttp, parseEventLogs,
  webSocket, ContractFunctionRevertedError, InsufficientFundsError,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { chainId, contract, http, until, users, ws } from "./scene.mjs";

const { abi, bytecode } = contract;
const chain = defineChain({
  id: chainId, name: "Atoll", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [http], webSocket: [ws] } },
});

describe("viem", () => {
  const accounts = users(1).map((user) => privateKeyToAccount(user.privateKey));
  const transport = overHttp(http, { batch: true });
  const client = createPublicClient({ chain, transport, pollingInterval: 100, cacheTime: 0 });
  const wallets = accounts.map((account) => createWalletClient({ account, chain, transport }));
  let ledgers, live;

  before(async () => {
    live = createPublicClient({ chain, transport: webSocket(ws) });
    ledgers = [];
    for (const wallet of wallets) {
      const hash = await wallet.deployContract({ abi, bytecode });
      const receipt = await client.waitForTransactionReceipt({ hash });
      assert.equal(receipt.status, "success");
      ledgers.push(receipt.contractAddress);
    }
  });

  after(async () => {
    (await live.transport.getRpcClient()).close();
  });

  test("the network is one chain", async () => {
    assert.equal(await client.getChainId(), chainId);
    for (const blockTag of ["latest", "safe", "finalized", "earliest", "pending"]) {
      assert.ok(await client.getBlock({ blockTag, includeTransactions: true }), blockTag);
    }
  });

  test("estimates fees", async () => {
    const fees = await client.estimateFeesPerGas();
    assert.ok(fees.maxFeePerGas > 0n);
    const history = await client.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] });
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
    assert.ok(await client.getBlobBaseFee() > 0n);
  });

  for (const from of [0, 1]) {
    for (const to of [0, 1]) {
      test(`sends wei from shard ${from} to shard ${to}`, async () => {
        const target = privateKeyToAccount(generatePrivateKey()).address;
        const hash = await wallets[from].sendTransaction({ to: target, value: 54321n });
        const receipt = await client.waitForTransactionReceipt({ hash });
        assert.equal(receipt.status, "success");
        assert.equal(await client.getBalance({ address: target }), 54321n);
        const shown = await client.getTransaction({ hash });
        assert.equal(shown.blockHash, receipt.blockHash);
      });

      test(`sends from shard ${from} to shard ${to} and waits in one request`, async () => {
        const target = ledgers[to];
        const request = await wallets[from].prepareTransactionRequest({
          to: target, data: encodeFunctionData({ abi, functionName: "add", args: [3n] }), gas: 150_000n,
        });
        const serializedTransaction = await wallets[from].signTransaction(request);
        const receipt = await client.sendRawTransactionSync({ serializedTransaction });
        assert.equal(receipt.status, "success");
        assert.equal(receipt.logs.length, 1);
      });

      test(`simulates transfers from shard ${from} to shard ${to}`, async () => {
        const target = accounts[to].address;
        const { results, assetChanges } = await client.simulateCalls({
          account: accounts[from], calls: [{ to: target, value: 7n }, { to: ledgers[from], data: "0x2ddbd13a" }],
          traceAssetChanges: from !== to,
        });
        assert.deepEqual(results.map((call) => call.status), ["success", "success"]);
        if (from !== to) assert.equal(assetChanges[0].value.diff, -7n);
      });

      test(`writes to a contract of shard ${to} from shard ${from}`, async () => {
        const address = ledgers[to];
        const { request, result } = await client.simulateContract({
          account: accounts[from], address, abi, functionName: "add", args: [5n], value: 2n,
        });
        const hash = await wallets[from].writeContract({ ...request, gas: 150_000n });
        const receipt = await client.waitForTransactionReceipt({ hash });
        const [log] = parseEventLogs({ abi, logs: receipt.logs });
        assert.deepEqual(log.args, { who: accounts[from].address, amount: 5n, value: 2n });
        assert.equal(await client.readContract({ address, abi, functionName: "total" }), result);
      });

      test(`is told of a revert on shard ${to} from shard ${from}`, async () => {
        await assert.rejects(
          client.simulateContract({ account: accounts[from], address: ledgers[to], abi, functionName: "refuse" }),
          (error) => error.walk((e) => e instanceof ContractFunctionRevertedError).reason === "refused on purpose",
        );
      });
    }
  }

  test("finds logs by event and filter", async () => {
    const filter = await client.createContractEventFilter({ abi, eventName: "Added", address: ledgers, fromBlock: 0n });
    const logs = await client.getFilterLogs({ filter });
    assert.equal(new Set(logs.map((log) => log.address)).size, 2);
    const hash = await wallets[1].writeContract({ address: ledgers[1], abi, functionName: "add", args: [77n] });
    await client.waitForTransactionReceipt({ hash });
    const news = await until(async () => {
      const changes = await client.getFilterChanges({ filter });
      return changes.some((log) => log.transactionHash === hash);
    }, "the log in the filter");
    assert.ok(news);
    assert.ok(await client.uninstallFilter({ filter }));
  });

  test("watches blocks and events over WebSocket", async () => {
    const blocks = [], events = [];
    const stop = [
      live.watchBlocks({ onBlock: (block) => blocks.push(block), onError: (error) => events.push(error) }),
      live.watchContractEvent({ address: ledgers[0], abi, eventName: "Added",
        onLogs: (logs) => events.push(...logs), onError: (error) => events.push(error) }),
    ];
    await live.getBlockNumber();
    const hash = await wallets[0].writeContract({ address: ledgers[0], abi, functionName: "add", args: [88n] });
    await until(() => blocks.length > 0 && events.length > 0, "a block and an event");
    stop.forEach((unwatch) => unwatch());
    assert.equal(events[0].transactionHash, hash);
  });

  test("reads state with overrides and makes access lists", async () => {
    const [who] = accounts;
    const { data } = await client.call({
      to: ledgers[0], stateOverride: [{ address: ledgers[0], code: "0x602a5f5260205ff3" }],
    });
    assert.equal(BigInt(data), 42n);
    const made = await client.createAccessList({ account: who, to: ledgers[0], data: "0x2ddbd13a" });
    assert.ok(made.gasUsed > 21_000n);
    const proof = await client.getProof({ address: ledgers[1], storageKeys: [`0x${"00".repeat(32)}`] });
    assert.equal(proof.storageProof.length, 1);
  });

  for (const shard of [0, 1]) {
    test(`delegates an account of shard ${shard} (EIP-7702)`, async () => {
      const account = accounts[shard];
      const authorization = await wallets[shard].signAuthorization({
        account, contractAddress: ledgers[shard], executor: "self",
      });
      const hash = await wallets[shard].sendTransaction({ 
        to: account.address, data: "0x2ddbd13a", authorizationList: [authorization],
      });
      assert.equal((await client.waitForTransactionReceipt({ hash })).status, "success");
      const code = await client.getCode({ address: account.address });
      assert.equal(code, `0xef0100${ledgers[shard].slice(2).toLowerCase()}`);
    });
  }

  test("is told what is wrong with a transaction", async () => {
    const poor = createWalletClient({ account: privateKeyToAccount(generatePrivateKey()), chain, transport });
    await assert.rejects(
      poor.sendTransaction({ to: accounts[0].address, value: 1n, gas: 21_000n, maxFeePerGas: 10n ** 10n }),
      (error) => Boolean(error.walk((e) => e instanceof InsufficientFundsError)),
    );
  });

  test("knows the pool", async () => {
    const pool = createTestClient({ chain, mode: "anvil", transport });
    const status = await pool.getTxpoolStatus();
    assert.ok(status.pending >= 0 && status.queued >= 0);
  });
});
