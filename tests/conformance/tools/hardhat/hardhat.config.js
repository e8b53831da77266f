// Hardhat 2 with the helpers, Ignition and OpenZeppelin's upgrades, against a network of Atoll (or anvil).
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");
require("@nomicfoundation/hardhat-ethers");
require("@nomicfoundation/hardhat-ignition-ethers");
require("@openzeppelin/hardhat-upgrades");

// Hardhat downloads compilers; npm has the same one.
subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => ({
    version: solcVersion,
    longVersion: require("solc/package.json").version,
    compilerPath: require.resolve("solc/soljson.js"),
    isSolcJs: true,
}));

module.exports = {
    solidity: { version: require("solc/package.json").version, settings: { evmVersion: "prague" } },
    defaultNetwork: "node",
    networks: { node: { url: process.env.ATOLL_RPC, timeout: 60_000 } },
    mocha: { timeout: 60_000, reporter: "json" },
};
