// SPDX-License-Identifier: MIT
pragma solidity ^0.8.0;

import "hardhat/console.sol";

contract Talker {
    uint256 public count;

    function talk(uint256 n) public {
        count = n;
        console.log("talk %s by %s", n, msg.sender);
        console.log(n, true, "and more");
    }
}
