// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

contract Counter {
    uint256 public number;

    event Counted(address indexed by, uint256 number);

    function add(uint256 amount) external payable {
        number += amount;
        emit Counted(msg.sender, number);
    }
}
