// SPDX-License-Identifier: MIT
pragma solidity ^0.8.4;

/// Calls to contracts and accounts on other shards. See docs/messages.md.
/// Every shard has it at 0xa70110000000000000000000000000000000a701.
interface IMessenger {
    event Send(
        bytes32 indexed id,
        address indexed sender,
        address indexed to,
        uint256 dst,
        uint256 seq,
        uint256 value,
        uint256 gas,
        uint256 replyGas,
        bytes4 callback,
        uint256 gasPrice,
        address refundTo,
        bytes data
    );

    /// The account lives on this shard: call it.
    error NotRemote(address to);
    /// More gas than a message may carry.
    error GasTooHigh(uint256 gas, uint256 limit);
    /// Too much is under way to that shard: try again later.
    error LaneFull(uint256 dst);
    /// Too much that you pay for is under way to that shard: try again later.
    error ShareUsed(uint256 dst);
    /// The shard has stopped for good.
    error Frozen(uint256 dst);
    /// msg.value does not pay for the gas: `required` is (callGas + replyGas) * priceTo(dst).
    error Underpaid(uint256 required);

    /// Call `to` on its shard. (callGas + replyGas) * priceTo(dst) is taken from msg.value; the rest is the
    /// call's value. `callback` is the selector of a function (bytes32 id, bool ok, bytes data) of the
    /// caller, or zero.
    function send(address to, bytes calldata data, uint256 callGas, uint256 replyGas, bytes4 callback)
        external
        payable
        returns (bytes32 id);

    /// The shard on which an account lives.
    function homeOf(address account) external view returns (uint256);

    function shardId() external view returns (uint256);

    function shards() external view returns (uint256);

    function maxMessageGas() external view returns (uint256);

    function laneWindow() external view returns (uint256);

    function laneGasWindow() external view returns (uint256);

    /// Whether a message caused this execution.
    function isCrossShardCall() external view returns (bool);

    /// The message that caused this execution; zeros where none did.
    function crossShardCall() external view returns (bytes32 id, uint256 source, address sender);

    /// Sent to that shard: `count` messages with `amount` wei. `asked` of them were asked for by transactions and
    /// `send`, with `gas`; the others follow from what arrived here.
    function outbox(uint256 dst)
        external
        view
        returns (uint256 count, bytes32 head, uint256 gas, uint256 amount, uint256 asked);

    /// Consumed of what that shard sent here.
    function inbox(uint256 src)
        external
        view
        returns (uint256 count, bytes32 head, uint256 gas, uint256 amount, uint256 asked);

    /// How many messages that were asked for that shard has consumed, and their gas, as far as this shard knows. What
    /// was sent when `outbox(dst).asked` was n has arrived once `asked` is n.
    function consumed(uint256 dst) external view returns (uint256 asked, uint256 gas);

    /// What a unit of gas for a message to that shard costs in this transaction, in wei: the highest of
    /// tx.gasprice, the base fee here, and the base fee there.
    function priceTo(uint256 dst) external view returns (uint256);

    function burned() external view returns (uint256);
}
