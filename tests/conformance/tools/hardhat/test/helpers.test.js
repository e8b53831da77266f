// @nomicfoundation/hardhat-network-helpers, function by function.
const assert = require("node:assert/strict");
const { ethers } = require("hardhat");
const helpers = require("@nomicfoundation/hardhat-network-helpers");

describe("hardhat-network-helpers", () => {
    let one, two, three;
    const stranger = "0x1234567890123456789012345678901234567890";
    before(async () => {
        [one, two, three] = await ethers.getSigners();
    });

    it("setBalance", async () => {
        await helpers.setBalance(stranger, 10n ** 18n);
        assert.equal(await ethers.provider.getBalance(stranger), 10n ** 18n);
    });
    it("setCode", async () => {
        await helpers.setCode(stranger, "0x60005460005260206000f3");
        assert.equal(await ethers.provider.getCode(stranger), "0x60005460005260206000f3");
    });
    it("setStorageAt and getStorageAt", async () => {
        await helpers.setStorageAt(stranger, 0, 40);
        assert.equal(BigInt(await helpers.getStorageAt(stranger, 0)), 40n);
    });
    it("setNonce", async () => {
        await helpers.setNonce(stranger, 10);
        assert.equal(await ethers.provider.getTransactionCount(stranger), 10);
    });
    it("impersonateAccount and stopImpersonatingAccount", async () => {
        await helpers.impersonateAccount(stranger);
        const signer = await ethers.getSigner(stranger);
        await (await signer.sendTransaction({ to: two.address, value: 1 })).wait();
        await helpers.stopImpersonatingAccount(stranger);
    });
    it("mine", async () => {
        const before = await helpers.time.latestBlock();
        await helpers.mine();
        assert.ok((await helpers.time.latestBlock()) >= before + 1);
    });
    it("mine of many with an interval", async () => {
        const before = await helpers.time.latestBlock();
        await helpers.mine(100, { interval: 15 });
        assert.equal(await helpers.time.latestBlock(), before + 100);
    });
    it("mineUpTo", async () => {
        const to = (await helpers.time.latestBlock()) + 5;
        await helpers.mineUpTo(to);
        assert.ok((await helpers.time.latestBlock()) >= to);
    });
    it("time.increase", async () => {
        const before = await helpers.time.latest();
        const after = await helpers.time.increase(3600);
        assert.ok(after >= before + 3600);
        assert.ok((await helpers.time.latest()) >= before + 3600);
    });
    it("time.increaseTo", async () => {
        const to = (await helpers.time.latest()) + 1000;
        await helpers.time.increaseTo(to);
        assert.ok((await helpers.time.latest()) >= to);
    });
    it("time.setNextBlockTimestamp is exact", async () => {
        const to = (await helpers.time.latest()) + 500;
        await helpers.time.setNextBlockTimestamp(to);
        await helpers.mine();
        assert.equal(await helpers.time.latest(), to);
    });
    it("takeSnapshot and restore", async () => {
        const at = await helpers.takeSnapshot();
        const before = await ethers.provider.getBalance(three.address);
        await (await one.sendTransaction({ to: three.address, value: 5 })).wait();
        await at.restore();
        assert.equal(await ethers.provider.getBalance(three.address), before);
    });
    it("loadFixture", async () => {
        async function deployed() {
            const plain = await (await ethers.getContractFactory("Plain")).deploy(3);
            await plain.waitForDeployment();
            return plain;
        }
        const first = await helpers.loadFixture(deployed);
        const again = await helpers.loadFixture(deployed);
        assert.equal(await first.getAddress(), await again.getAddress());
        assert.equal(await again.value(), 3n);
    });
    it("setNextBlockBaseFeePerGas", async () => {
        await helpers.setNextBlockBaseFeePerGas(2_000_000_000n);
        await helpers.mine();
        assert.equal((await ethers.provider.getBlock("latest")).baseFeePerGas, 2_000_000_000n);
    });
    it("setCoinbase", async () => {
        await helpers.setCoinbase(stranger);
        await helpers.mine();
        assert.equal((await ethers.provider.getBlock("latest")).miner.toLowerCase(), stranger);
    });
    it("setPrevRandao", async () => {
        await helpers.setPrevRandao(1234);
        await helpers.mine();
        assert.equal((await ethers.provider.getBlock("latest")).prevRandao, 1234n);
    });
    it("setBlockGasLimit", async () => {
        await helpers.setBlockGasLimit(25_000_000);
        await helpers.mine();
        assert.equal((await ethers.provider.getBlock("latest")).gasLimit, 25_000_000n);
    });
    it("dropTransaction", async () => {
        const nonce = (await two.getNonce()) + 5;
        const hash = await ethers.provider.send("eth_sendTransaction", [
            { from: two.address, to: one.address, value: "0x1", nonce: ethers.toQuantity(nonce), gas: "0x5208" },
        ]);
        await helpers.dropTransaction(hash);
        assert.equal(await ethers.provider.getTransaction(hash), null);
    });
    it("reset", async () => {
        await helpers.reset();
        assert.equal(await ethers.provider.getBalance(stranger), 0n);
    });
});
