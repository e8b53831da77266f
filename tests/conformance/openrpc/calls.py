"""How every method of the specification is called: method -> lists of parameters, for a scene."""

from typing import Any

from tests.conformance.openrpc.scene import Scene

TAGS = ("latest", "pending", "safe", "finalized", "earliest")
NOWHERE = "0x" + "ee" * 20
UNKNOWN = "0x" + "ab" * 32
WORD = "0x" + "00" * 31 + "2a"
Calls = list[list[Any]]


TRACES: list[list[Any]] = [
    [],
    [{"enableMemory": True, "enableReturnData": True, "limit": 20}],
    [{"disableStack": True, "disableStorage": True, "timeout": "10s"}],
    [{"tracer": "callTracer", "tracerConfig": {"withLog": True}}],
    [{"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}],
    [{"tracer": "4byteTracer"}],
]


def calls(scene: Scene) -> dict[str, Calls]:
    """Every implemented method, each in several ways; those that need a filter are called elsewhere."""
    included = list(scene.transactions.values())
    receipts = [scene.receipt(name) for name in scene.transactions]
    hashes = sorted({r["blockHash"] for r in receipts})
    numbers = sorted({r["blockNumber"] for r in receipts})
    blocks: list[Any] = [*TAGS, "0x0", "0x1", *numbers]
    by_hash: list[Any] = [*hashes, UNKNOWN]
    any_block: list[Any] = [*blocks, hashes[0], {"blockHash": hashes[0], "requireCanonical": True}]
    indexes = ["0x0", "0x1", "0xffff"]
    everyone = [*scene.users, *scene.contracts, NOWHERE]
    requests = requests_of(scene)
    numbered: Calls = [[number, index] for number in (*numbers, "0xffffff") for index in indexes]
    hashed: Calls = [[block, index] for block in by_hash for index in indexes]
    return {
        "eth_chainId": [[]],
        "eth_config": [[]],
        "eth_syncing": [[]],
        "eth_coinbase": [[]],
        "eth_accounts": [[]],
        "eth_blockNumber": [[]],
        "eth_capabilities": [[]],
        "net_version": [[]],
        "eth_getBlockByNumber": [
            [b, full] for b in (*blocks, "0xffffff") for full in (True, False)
        ],
        "eth_getBlockByHash": [[b, full] for b in by_hash for full in (True, False)],
        "eth_getBlockTransactionCountByNumber": [[block] for block in (*blocks, "0xffffff")],
        "eth_getBlockTransactionCountByHash": [[block] for block in by_hash],
        "eth_getTransactionByBlockNumberAndIndex": numbered,
        "eth_getTransactionByBlockHashAndIndex": hashed,
        "eth_getTransactionByHash": [[tx] for tx in (*included, UNKNOWN)],
        "eth_getTransactionReceipt": [[tx] for tx in (*included, UNKNOWN)],
        "eth_getBlockReceipts": [[block] for block in (*any_block, UNKNOWN, "0xffffff")],
        "eth_getBalance": [[who, block] for who in everyone for block in any_block],
        "eth_getCode": [[who, block] for who in everyone for block in any_block],
        "eth_getTransactionCount": [[who, block] for who in everyone for block in any_block],
        "eth_getStorageAt": [
            [who, slot, block]
            for who in everyone
            for slot in ("0x0", "0x1", WORD)
            for block in ("latest", "earliest", hashes[0])
        ],
        "eth_getStorageValues": [
            [{scene.contracts[0]: ["0x1", WORD], scene.contracts[1]: [WORD]}, "latest"],
            [{scene.users[0]: ["0x0"], NOWHERE: [WORD]}, "earliest"],
        ],
        "eth_getProof": [
            [who, slots, block]
            for who in everyone
            for slots in ([], ["0x1"], [WORD, "0x1"])
            for block in ("latest", "earliest", hashes[0])
        ],
        "eth_call": [[request, block] for request in requests for block in ("latest", "pending")]
        + [[request, "latest", _overrides(scene), {"number": "0x77"}] for request in requests],
        "eth_estimateGas": [[request, "latest"] for request in requests] + [[requests[0]]],
        "eth_createAccessList": [[request, "latest"] for request in requests],
        "eth_simulateV1": [
            [payload, *block] for payload in _simulations(scene) for block in ([], ["latest"])
        ],
        "debug_traceTransaction": [[tx, *options] for tx in included for options in TRACES],
        "debug_traceBlockByNumber": [[n, *options] for n in numbers for options in TRACES],
        "debug_traceBlockByHash": [[h, *options] for h in hashes for options in TRACES],
        "eth_gasPrice": [[]],
        "eth_maxPriorityFeePerGas": [[]],
        "eth_baseFee": [[]],
        "eth_blobBaseFee": [[]],
        "eth_feeHistory": [
            [count, newest, percentiles]
            for count in ("0x0", "0x1", "0x5", "0x400")
            for newest in ("latest", "pending", "0x2")
            for percentiles in ([], [25, 75.5])
        ],
        "eth_getLogs": [
            [{"fromBlock": "earliest", "toBlock": "latest"}],
            [{"fromBlock": "0x0", "address": list(scene.contracts)}],
            [{"fromBlock": "0x0", "topics": [None]}],
            [{"fromBlock": "0x0", "topics": [["0x" + "00" * 31 + "07"]]}],
            *[[{"blockHash": block}] for block in hashes],
        ],
        "eth_sign": [[user, data] for user in scene.users for data in ("0x", "0xdeadbeef")],
        "eth_signTransaction": [[{**tx, "nonce": "0x7"}] for tx in _transactions(scene)],
        "eth_fillTransaction": [[tx] for tx in _transactions(scene)],
        "eth_sendTransaction": [[tx] for tx in _transactions(scene)],
        "txpool_status": [[]],
        "txpool_content": [[]],
        "txpool_contentFrom": [[who] for who in everyone],
        "debug_getRawBlock": [[block] for block in blocks],
        "debug_getRawHeader": [[block] for block in blocks],
        "debug_getRawReceipts": [[block] for block in blocks],
        "debug_getRawTransaction": [[tx] for tx in included],
        "debug_getBadBlocks": [[]],
    }


def requests_of(scene: Scene) -> list[dict[str, Any]]:
    (alice, carol), (here, there) = scene.users, scene.contracts
    return [
        {"to": here},
        {"to": there},
        {"from": alice, "to": here, "input": WORD},
        {"from": alice, "to": there, "input": WORD, "gas": "0x20000"},
        {"from": carol, "to": here, "data": WORD, "value": "0x0"},
        {"from": alice, "to": carol, "value": "0x1"},
        {"from": alice, "input": "0x608060806080608155"},
        {"from": alice, "to": here, "maxFeePerGas": "0x174876e800", "type": "0x2"},
    ]


def _transactions(scene: Scene) -> list[dict[str, Any]]:
    (alice, carol), (here, there) = scene.users, scene.contracts
    listed = [{"address": here, "storageKeys": [WORD]}]
    return [
        {"from": alice, "to": carol, "value": "0x1"},
        {"from": carol, "to": here, "input": WORD, "gas": "0x20000"},
        {"from": alice, "to": there, "input": WORD, "gasPrice": "0x174876e800"},
        {"from": carol, "to": carol, "accessList": listed, "gasPrice": "0x174876e800"},
        {"from": alice, "to": alice, "type": "0x2", "accessList": listed},
        {"from": carol, "input": "0x00"},
    ]


def _overrides(scene: Scene) -> dict[str, Any]:
    return {
        scene.contracts[0]: {"stateDiff": {WORD: WORD}},
        scene.users[0]: {"balance": "0xffffffffffffffffffff", "nonce": "0x5"},
        NOWHERE: {"code": "0x4360005260206000f3", "state": {WORD: WORD}},
    }


def _simulations(scene: Scene) -> list[dict[str, Any]]:
    """On both shards: calls that succeed, that revert and that run out of gas; with and without all."""
    out: list[dict[str, Any]] = []
    for user, contract in zip(scene.users, scene.contracts, strict=True):
        store = {"from": user, "to": contract, "input": WORD}
        blocks = [
            {"calls": [store, {"from": user, "to": contract}]},
            {
                "blockOverrides": {"baseFeePerGas": "0x7", "gasLimit": "0x1c9c380"},
                "stateOverrides": {NOWHERE: {"balance": "0xde0b6b3a7640000"}},
                "calls": [
                    {"from": NOWHERE, "to": user, "value": "0x1"},
                    {"from": user, "to": contract, "input": "0x" + "00" * 32, "gas": "0x30000"},
                    {"from": user, "to": contract, "input": WORD, "gas": "0x5400"},
                    {"from": user, "input": "0x600160005260206000f3"},
                ],
            },
        ]
        out += [
            {"blockStateCalls": [{}]},
            {"blockStateCalls": blocks},
            {"blockStateCalls": blocks, "traceTransfers": True, "returnFullTransactions": True},
            {
                "blockStateCalls": [
                    {"calls": [{**store, "maxFeePerGas": "0x174876e800", "gas": "0x30000"}]}
                ],
                "validation": True,
            },
        ]
    return out
