"""Methods that other nodes have and this one does not: name -> why. All others are unknown."""

_BACK = (
    "the network goes back as a whole, and only to a snapshot: take one with "
    "evm_snapshot and go back to it with evm_revert, or make a new network (`atoll up --reset`)"
)
_GENESIS = (
    "it is a rule that all validators check in every block, from the genesis on: set it in the [params] of a "
    "manifest, or it follows from the parent"
)
_PROPOSER = "the fee recipient of a block is the validator that proposes it"
_FILES = "a node's state is under validators' signatures: it cannot be replaced by a file"
_NO_FORK = "no other chain is forked: the state of a network begins with its genesis"
_PACE = (
    "every validator's clock sets the time of its blocks: use evm_increaseTime, evm_setNextBlockTimestamp or "
    "anvil_mine with an interval"
)
_POW = "blocks are decided by validators; there is no proof of work"
_PARITY = (
    "traces have the shapes of go-ethereum: use debug_traceTransaction, debug_traceBlockByNumber "
    "or debug_traceCall"
)
_BLOCK = "name the block: use debug_traceBlockByNumber or debug_traceBlockByHash"
_BAL = "blocks here follow the Prague rules and carry no access lists (EIP-7928)"
_ENGINE = "consensus and execution are one process here"
_ADMIN = "peers and endpoints are set in the node's configuration"
_PERSONAL = "keys are given to the node by its configuration"

REFUSED: dict[str, str] = {
    **dict.fromkeys(
        (
            "anvil_reorg",
            "anvil_rollback",
        ),
        _BACK,
    ),
    **dict.fromkeys(
        (
            "evm_setBlockGasLimit",
            "anvil_setBlockGasLimit",
            "anvil_setMinGasPrice",
            "hardhat_setMinGasPrice",
            "anvil_setNextBlockBaseFeePerGas",
            "hardhat_setNextBlockBaseFeePerGas",
            "hardhat_setPrevRandao",
        ),
        _GENESIS,
    ),
    **dict.fromkeys(("anvil_setCoinbase", "hardhat_setCoinbase"), _PROPOSER),
    **dict.fromkeys(
        ("anvil_dumpState", "anvil_loadState", "hardhat_dumpState", "hardhat_loadState"), _FILES
    ),
    **dict.fromkeys(("anvil_setRpcUrl", "hardhat_setRpcUrl"), _NO_FORK),
    **dict.fromkeys(
        (
            "anvil_setBlockTimestampInterval",
            "anvil_removeBlockTimestampInterval",
            "hardhat_setBlockTimestampInterval",
            "hardhat_removeBlockTimestampInterval",
        ),
        _PACE,
    ),
    **dict.fromkeys(("eth_getWork", "eth_submitWork", "eth_submitHashrate"), _POW),
    **dict.fromkeys(("trace_transaction", "trace_block", "trace_call"), _PARITY),
    "debug_traceBlock": _BLOCK,
    "eth_getBlockAccessList": _BAL,
    "debug_getRawBlockAccessList": _BAL,
    "testing_buildBlockV1": _ENGINE,
    **dict.fromkeys(
        (
            "admin_addPeer",
            "admin_datadir",
            "admin_startHTTP",
            "admin_stopHTTP",
            "admin_startWS",
            "admin_stopWS",
        ),
        _ADMIN,
    ),
    **dict.fromkeys(
        ("personal_newAccount", "personal_importRawKey", "personal_unlockAccount"), _PERSONAL
    ),
}
