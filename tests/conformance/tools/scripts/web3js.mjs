// web3.js 4: what a dapp of it does.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Web3 } from "web3";
import { rpc, suite } from "./suite.mjs";

const web3 = new Web3(rpc);
const plain = JSON.parse(readFileSync(new URL("../hardhat/artifacts/contracts/Box.sol/Plain.json", import.meta.url)));
const [one, two] = await web3.eth.getAccounts();
let contract;

await suite({
    "chain, blocks, balances": async () => {
        assert.equal(await web3.eth.getChainId(), 31337n);
        assert.ok((await web3.eth.getBlock("latest")).number >= 0n);
        assert.ok((await web3.eth.getBalance(one)) > 0n);
    },
    "sendTransaction of an unlocked account": async () => {
        const receipt = await web3.eth.sendTransaction({ from: one, to: two, value: 1 });
        assert.equal(receipt.status, 1n);
    },
    "a signed transaction": async () => {
        const account = web3.eth.accounts.create();
        await web3.eth.sendTransaction({ from: one, to: account.address, value: 10n ** 18n });
        web3.eth.accounts.wallet.add(account);
        for (let i = 0; i < 100 && (await web3.eth.getBalance(account.address)) === 0n; i++) {
            await new Promise((done) => setTimeout(done, 50));
        }
        const receipt = await web3.eth.sendTransaction({ from: account.address, to: two, value: 5, gas: 21000 });
        assert.equal(receipt.status, 1n);
    },
    "deploy and call a contract": async () => {
        contract = await new web3.eth.Contract(plain.abi).deploy({ data: plain.bytecode, arguments: [8] }).send({ from: one, gas: 1_000_000 });
        assert.equal(await contract.methods.value().call(), 8n);
    },
    "logs and code": async () => {
        assert.notEqual(await web3.eth.getCode(contract.options.address), "0x");
        assert.deepEqual(await web3.eth.getPastLogs({ address: contract.options.address, fromBlock: 0 }), []);
    },
    "a batch": async () => {
        const batch = new web3.BatchRequest();
        const asked = [batch.add({ method: "eth_chainId", params: [] }), batch.add({ method: "eth_blockNumber", params: [] })];
        await batch.execute();
        assert.equal((await Promise.all(asked)).length, 2);
    },
});
