// Deployments as Hardhat 2, Ignition, OpenZeppelin's upgrades and CREATE2 factories make them.
const assert = require("node:assert/strict");
const { ethers, ignition, upgrades } = require("hardhat");
const { buildModule } = require("@nomicfoundation/hardhat-ignition/modules");

const FACTORY = "0x4e59b44847b379578588920cA78FbF26c0B4956C";

describe("contracts", () => {
    it("Ignition deploys a module", async () => {
        const module = buildModule("Plains", (m) => {
            const plain = m.contract("Plain", [1]);
            const box = m.contract("Box", [], { after: [plain] });
            m.call(box, "store", [9]);
            return { plain, box };
        });
        const { plain, box } = await ignition.deploy(module);
        assert.equal(await plain.value(), 1n);
        assert.equal(await box.value(), 9n);
    });
    it("OpenZeppelin's upgrades deploy a transparent proxy and upgrade it", async () => {
        const box = await upgrades.deployProxy(await ethers.getContractFactory("Box"), [42]);
        await box.waitForDeployment();
        assert.equal(await box.value(), 42n);
        const next = await upgrades.upgradeProxy(await box.getAddress(), await ethers.getContractFactory("BoxV2"));
        await (await next.increment()).wait();
        assert.equal(await next.value(), 43n);
    });
    it("OpenZeppelin's upgrades deploy a beacon proxy and upgrade it", async () => {
        const beacon = await upgrades.deployBeacon(await ethers.getContractFactory("Box"));
        await beacon.waitForDeployment();
        const box = await upgrades.deployBeaconProxy(beacon, await ethers.getContractFactory("Box"), [1]);
        await box.waitForDeployment();
        await upgrades.upgradeBeacon(beacon, await ethers.getContractFactory("BoxV2"));
        const next = await ethers.getContractAt("BoxV2", await box.getAddress());
        await (await next.increment()).wait();
        assert.equal(await next.value(), 2n);
    });
    it("every account deploys through the CREATE2 factory, once for an address", async () => {
        const signers = (await ethers.getSigners()).slice(0, 4);
        const { bytecode } = await ethers.getContractFactory("Plain");
        for (const [index, signer] of signers.entries()) {
            const salt = ethers.zeroPadValue(ethers.toBeHex(index + 1), 32);
            const init = ethers.concat([bytecode, ethers.zeroPadValue("0x07", 32)]);
            const at = ethers.getCreate2Address(FACTORY, salt, ethers.keccak256(init));
            const sent = await signer.sendTransaction({ to: FACTORY, data: ethers.concat([salt, init]) });
            assert.equal((await sent.wait()).status, 1);
            assert.notEqual(await ethers.provider.getCode(at), "0x");
            assert.equal(await (await ethers.getContractAt("Plain", at)).value(), 7n);
            // nobody makes it again, on whatever shard
            for (const other of signers) {
                await assert.rejects(async () => {
                    const again = await other.sendTransaction({ to: FACTORY, data: ethers.concat([salt, init]), gasLimit: 1_000_000 });
                    await again.wait();
                });
            }
        }
    });
    it("Multicall3 answers", async () => {
        const multicall = new ethers.Contract(
            "0xcA11bde05977b3631167028862bE2a173976CA11",
            [
                "function aggregate3((address target,bool allowFailure,bytes callData)[] calls) payable returns ((bool success,bytes returnData)[])",
                "function getChainId() view returns (uint256)",
            ],
            ethers.provider,
        );
        const [{ success, returnData }] = await multicall.aggregate3.staticCall([
            { target: await multicall.getAddress(), allowFailure: false, callData: multicall.interface.encodeFunctionData("getChainId") },
        ]);
        assert.ok(success);
        assert.equal(BigInt(returnData), (await ethers.provider.getNetwork()).chainId);
    });
    it("a keyless transaction deploys a contract", async () => {
        const [payer] = await ethers.getSigners();
        const { bytecode } = await ethers.getContractFactory("Plain");
        const unsigned = ethers.Transaction.from({
            type: 0, nonce: 0, gasPrice: 100_000_000_000n, gasLimit: 500_000n, value: 0n,
            data: ethers.concat([bytecode, ethers.zeroPadValue("0x05", 32)]),
        });
        // a signature that nobody made: most r are one of a curve's point
        for (let r = 1; ; r++) {
            try {
                unsigned.signature = { r: ethers.toBeHex(r, 32), s: "0x" + "22".repeat(32), v: 27 };
                assert.ok(unsigned.from);
                break;
            } catch {}
        }
        await (await payer.sendTransaction({ to: unsigned.from, value: 10n ** 17n })).wait();
        for (let i = 0; i < 100 && (await ethers.provider.getBalance(unsigned.from)) === 0n; i++) {
            await new Promise((done) => setTimeout(done, 50));
        }
        const receipt = await (await ethers.provider.broadcastTransaction(unsigned.serialized)).wait();
        assert.equal(await (await ethers.getContractAt("Plain", receipt.contractAddress)).value(), 5n);
    });
    it("console.log of a contract does not fail", async () => {
        const talker = await (await ethers.getContractFactory("Talker")).deploy();
        await talker.waitForDeployment();
        await (await talker.talk(5)).wait();
        assert.equal(await talker.count(), 5n);
    });
    it("a revert has its reason", async () => {
        const box = await (await ethers.getContractFactory("BoxV2")).deploy();
        await box.waitForDeployment();
        await assert.rejects(box.fail.staticCall(), /no/);
    });
});
