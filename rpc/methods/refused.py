"""Methods that other nodes have and this one does not: name -> why. What is not here is unknown."""

_BFT = (
    "blocks are made by the validators of every shard together; one node cannot change the state, "
    "the time or the pace of the network"
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
            "evm_mine",
            "evm_setAutomine",
            "evm_setIntervalMining",
            "evm_increaseTime",
            "evm_setNextBlockTimestamp",
            "evm_setTime",
            "evm_setBlockGasLimit",
            "evm_setAccountNonce",
            "evm_snapshot",
            "evm_revert",
            *(
                f"{tool}_{action}"
                for tool in ("anvil", "hardhat")
                for action in (
                    "mine",
                    "setBalance",
                    "setCode",
                    "setNonce",
                    "setStorageAt",
                    "setCoinbase",
                    "setNextBlockBaseFeePerGas",
                    "impersonateAccount",
                    "stopImpersonatingAccount",
                    "dropTransaction",
                    "reset",
                )
            ),
            "anvil_setNextBlockTimestamp",
            "anvil_autoImpersonateAccount",
            "anvil_increaseTime",
            "anvil_dumpState",
            "anvil_loadState",
        ),
        _BFT,
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
            "admin_peers",
            "admin_nodeInfo",
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
