// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Counter} from "../src/Counter.sol";

/// What the script uses of forge's cheat codes.
interface Vm {
    function startBroadcast(uint256 privateKey) external;
    function stopBroadcast() external;
    function envUint(string calldata name) external view returns (uint256);
    function envAddress(string calldata name) external view returns (address payable);
}

/// Deploys a counter, counts, and pays an account of the other shard: four transactions.
contract Deploy {
    bool public constant IS_SCRIPT = true;
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external {
        VM.startBroadcast(VM.envUint("DEPLOYER_KEY"));
        Counter counter = new Counter();
        counter.add(1);
        counter.add{value: 1}(41);
        (bool paid,) = VM.envAddress("PAYEE").call{value: 1 gwei}("");
        require(paid, "not paid");
        VM.stopBroadcast();
    }
}
