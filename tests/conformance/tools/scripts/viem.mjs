// viem's test client, action by action, in the mode of the node that we stand in for.
import assert from "node:assert/strict";
import { createTestClient, http, parseEther, publicActions, walletActions } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import { rpc, suite, until } from "./suite.mjs";

const client = createTestClient({ chain: foundry, mode: process.env.ATOLL_MODE, transport: http(rpc, { retryCount: 0, timeout: 60_000 }) })
    .extend(publicActions)
    .extend(walletActions);
const words = "test test test test test test test test test test test junk";
const [alice, bob, carol] = [0, 1, 2].map((addressIndex) => mnemonicToAccount(words, { addressIndex }));
const stranger = "0x1234567890123456789012345678901234567890";
const pay = (value, more = {}) => client.sendTransaction({ account: alice, to: stranger, value, ...more });
const balance = (address = stranger) => client.getBalance({ address });

await suite({
    "setBalance": async () => {
        await client.setBalance({ address: stranger, value: parseEther("2") });
        assert.equal(await balance(), parseEther("2"));
    },
    "setCode": async () => {
        await client.setCode({ address: stranger, bytecode: "0x60005460005260206000f3" });
        assert.equal(await client.getCode({ address: stranger }), "0x60005460005260206000f3");
    },
    "setStorageAt": async () => {
        const value = "0x" + "00".repeat(31) + "2a";
        await client.setStorageAt({ address: stranger, index: 0, value });
        assert.equal(await client.getStorageAt({ address: stranger, slot: "0x0" }), value);
    },
    "setNonce": async () => {
        await client.setNonce({ address: stranger, nonce: 7 });
        assert.equal(await client.getTransactionCount({ address: stranger }), 7);
    },
    "impersonateAccount, stopImpersonatingAccount": async () => {
        await client.impersonateAccount({ address: stranger });
        const hash = await client.sendTransaction({ account: stranger, to: bob.address, value: 1n });
        assert.equal((await client.waitForTransactionReceipt({ hash })).status, "success");
        await client.stopImpersonatingAccount({ address: stranger });
    },
    "sendUnsignedTransaction": async () => {
        const hash = await client.sendUnsignedTransaction({ from: stranger, to: bob.address, value: 1n });
        assert.equal((await client.waitForTransactionReceipt({ hash })).status, "success");
    },
    "mine one": async () => {
        const before = await client.getBlockNumber({ cacheTime: 0 });
        await client.mine({ blocks: 1 });
        assert.equal(await client.getBlockNumber({ cacheTime: 0 }), before + 1n);
    },
    "mine 100 with an interval": async () => {
        const before = await client.getBlock();
        await client.mine({ blocks: 100, interval: 10 });
        const after = await client.getBlock();
        assert.equal(after.number, before.number + 100n);
        assert.ok(after.timestamp >= before.timestamp + 990n);
    },
    "increaseTime": async () => {
        const before = (await client.getBlock()).timestamp;
        await client.increaseTime({ seconds: 420 });
        await client.mine({ blocks: 1 });
        assert.ok((await client.getBlock()).timestamp >= before + 420n);
    },
    "setNextBlockTimestamp": async () => {
        const timestamp = (await client.getBlock()).timestamp + 100n;
        await client.setNextBlockTimestamp({ timestamp });
        await client.mine({ blocks: 1 });
        assert.equal((await client.getBlock()).timestamp, timestamp);
    },
    "setBlockTimestampInterval, removeBlockTimestampInterval": async () => {
        await client.setBlockTimestampInterval({ interval: 5 });
        const before = (await client.getBlock()).timestamp;
        await client.mine({ blocks: 1 });
        const after = (await client.getBlock()).timestamp;
        await client.removeBlockTimestampInterval();
        assert.equal(after, before + 5n);
    },
    "snapshot, revert": async () => {
        const before = await balance(carol.address);
        const id = await client.snapshot();
        await client.waitForTransactionReceipt({ hash: await pay(3n, { to: carol.address }) });
        assert.equal(await balance(carol.address), before + 3n);
        await client.revert({ id });
        assert.equal(await balance(carol.address), before);
    },
    "getAutomine": async () => {
        assert.equal(await client.getAutomine(), true);
    },
    "setAutomine off, pending transactions, mine, on": async () => {
        await client.setAutomine(false);
        try {
            const before = await balance();
            const hash = await pay(9n);
            assert.equal(await balance(), before);
            assert.equal((await client.getTxpoolStatus()).pending, 1);
            await client.mine({ blocks: 1 });
            await until(async () => (await balance()) === before + 9n);
            assert.equal((await client.getTransactionReceipt({ hash })).status, "success");
        } finally {
            await client.setAutomine(true);
        }
    },
    "setIntervalMining": async () => {
        await client.setIntervalMining({ interval: 1 });
        const before = await client.getBlockNumber({ cacheTime: 0 });
        await until(async () => (await client.getBlockNumber({ cacheTime: 0 })) > before);
        await client.setIntervalMining({ interval: 0 });
        await client.setAutomine(true);
    },
    "getTxpoolContent, getTxpoolStatus, inspectTxpool": async () => {
        const nonce = (await client.getTransactionCount({ address: carol.address })) + 9;
        await client.sendTransaction({ account: carol, to: bob.address, value: 1n, nonce });
        assert.equal((await client.getTxpoolStatus()).queued, 1);
        const key = Object.keys((await client.getTxpoolContent()).queued).find((a) => a.toLowerCase() === carol.address.toLowerCase());
        assert.ok(key);
        assert.ok(Object.keys((await client.inspectTxpool()).queued).length);
    },
    "dropTransaction": async () => {
        const nonce = (await client.getTransactionCount({ address: bob.address })) + 5;
        const hash = await client.sendTransaction({ account: bob, to: carol.address, value: 1n, nonce });
        await client.dropTransaction({ hash });
        await assert.rejects(client.getTransaction({ hash }));
    },
    "setNextBlockBaseFeePerGas": async () => {
        await client.setNextBlockBaseFeePerGas({ baseFeePerGas: 2_000_000_000n });
        await client.mine({ blocks: 1 });
        assert.equal((await client.getBlock()).baseFeePerGas, 2_000_000_000n);
    },
    "setMinGasPrice": () => client.setMinGasPrice({ gasPrice: 1n }),
    "setCoinbase": async () => {
        await client.setCoinbase({ address: stranger });
        await client.mine({ blocks: 1 });
        assert.equal((await client.getBlock()).miner, stranger);
    },
    "setBlockGasLimit": async () => {
        await client.setBlockGasLimit({ gasLimit: 25_000_000n });
        await client.mine({ blocks: 1 });
        assert.equal((await client.getBlock()).gasLimit, 25_000_000n);
    },
    "setLoggingEnabled": () => client.setLoggingEnabled(true),
    "setRpcUrl": () => client.setRpcUrl(rpc),
    "dumpState, loadState": async () => {
        await client.loadState({ state: await client.dumpState() });
    },
    "reset": async () => {
        await client.reset();
        assert.equal(await balance(), 0n);
    },
});
