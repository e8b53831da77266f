// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Salted} from "../src/Salted.sol";

/// What the tests use of forge's cheat codes.
interface Vm {
    function envAddress(string calldata name) external view returns (address);
}

/// Runs in forge over the state of the node (--fork-url).
contract ForkTest {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant FACTORY = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    address private constant MULTICALL3 = 0xcA11bde05977b3631167028862bE2a173976CA11;

    function testTheFactoryIsThere() public {
        (bool made,) = FACTORY.call(abi.encodePacked(bytes32(uint256(99)), type(Salted).creationCode, uint256(5)));
        require(made && MULTICALL3.code.length > 0);
    }

    function testAContractOfEveryShardIsThere() public view {
        require(Salted(VM.envAddress("FIRST")).NUMBER() == 7);
        require(Salted(VM.envAddress("SECOND")).NUMBER() == 7);
    }
}
