// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

contract Salted {
    uint256 public immutable NUMBER;

    constructor(uint256 number) {
        NUMBER = number;
    }
}
