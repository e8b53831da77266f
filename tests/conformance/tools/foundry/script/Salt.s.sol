// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Salted} from "../src/Salted.sol";

/// What the script uses of forge's cheat codes.
interface Vm {
    function startBroadcast(uint256 privateKey) external;
    function stopBroadcast() external;
    function envUint(string calldata name) external view returns (uint256);
}

/// Deploys a contract through the CREATE2 factory, as forge does for `new` with a salt.
contract Salt {
    bool public constant IS_SCRIPT = true;
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external returns (address) {
        VM.startBroadcast(VM.envUint("DEPLOYER_KEY"));
        Salted salted = new Salted{salt: bytes32(VM.envUint("SALT"))}(7);
        VM.stopBroadcast();
        return address(salted);
    }
}
