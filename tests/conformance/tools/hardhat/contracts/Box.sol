// SPDX-License-Identifier: MIT
pragma solidity ^0.8.0;

import {Initializable} from "@openzeppelin/contracts-upgradeable/proxy/utils/Initializable.sol";

contract Box is Initializable {
    uint256 public value;

    function initialize(uint256 first) public initializer {
        value = first;
    }

    function store(uint256 next) public {
        value = next;
    }

    function time() public view returns (uint256) {
        return block.timestamp;
    }
}

contract BoxV2 is Box {
    function increment() public {
        value += 1;
    }

    function fail() public pure {
        revert("no");
    }
}

contract Plain {
    uint256 public value;
    address public maker;

    constructor(uint256 first) {
        value = first;
        maker = msg.sender;
    }
}
