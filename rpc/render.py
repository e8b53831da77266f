"""The values of `rpc.wire` as the JSON objects that web3.py, ethers and viem read.

Member names, presence and encodings follow execution-apis (`src/schemas/*.yaml`) and, where that leaves
room, go-ethereum. Receipts with their logs are the hot path: plain dict displays with the hex made
inline, no helper call per member.
"""

from typing import Any

from rpc import wire
from rpc.encoding import data

ACCESS_LIST = 0x01
DYNAMIC_FEE = 0x02
SET_CODE = 0x04


def block(view: wire.BlockView) -> dict[str, Any]:
    """A block."""
    transactions: list[Any] = [
        data(item) if isinstance(item, bytes) else transaction(item) for item in view.transactions
    ]
    return {
        "number": hex(view.number),
        "hash": None if view.hash is None else data(view.hash),
        "parentHash": data(view.parent_hash),
        "nonce": None if view.nonce is None else data(view.nonce),
        "sha3Uncles": data(view.sha3_uncles),
        "logsBloom": data(view.logs_bloom),
        "transactionsRoot": data(view.transactions_root),
        "stateRoot": data(view.state_root),
        "receiptsRoot": data(view.receipts_root),
        "miner": data(view.miner),
        "difficulty": hex(view.difficulty),
        "extraData": data(view.extra_data),
        "size": hex(view.size),
        "gasLimit": hex(view.gas_limit),
        "gasUsed": hex(view.gas_used),
        "timestamp": hex(view.timestamp),
        "mixHash": data(view.mix_hash),
        "transactions": transactions,
        "uncles": [],
        "baseFeePerGas": hex(view.base_fee_per_gas),
        "blobGasUsed": hex(view.blob_gas_used),
        "excessBlobGas": hex(view.excess_blob_gas),
        "withdrawalsRoot": data(view.withdrawals_root),
        "parentBeaconBlockRoot": data(view.parent_beacon_block_root),
        "requestsHash": data(view.requests_hash),
        "withdrawals": [],
        **view.extra,
    }


def transaction(view: wire.TransactionView) -> dict[str, Any]:
    """A transaction of any type; what its type does not have is left out, as ethers and viem expect."""
    kind = view.type
    out: dict[str, Any] = {
        "blockHash": None if view.block_hash is None else data(view.block_hash),
        "blockNumber": None if view.block_number is None else hex(view.block_number),
        "from": data(view.from_),
        "gas": hex(view.gas),
        "gasPrice": hex(view.gas_price),
        "hash": data(view.hash),
        "input": data(view.input),
        "nonce": hex(view.nonce),
        "to": None if view.to is None else data(view.to),
        "transactionIndex": (
            None if view.transaction_index is None else hex(view.transaction_index)
        ),
        "value": hex(view.value),
        "type": hex(kind),
        "v": hex(view.v),
        "r": hex(view.r),
        "s": hex(view.s),
    }
    if view.block_timestamp is not None:
        out["blockTimestamp"] = hex(view.block_timestamp)
    if view.chain_id is not None:
        out["chainId"] = hex(view.chain_id)
    if kind in (ACCESS_LIST, DYNAMIC_FEE, SET_CODE):
        out["accessList"] = access_list(view.access_list or ())
        out["yParity"] = hex(view.v if view.y_parity is None else view.y_parity)
    elif view.y_parity is not None:
        out["yParity"] = hex(view.y_parity)
    if view.max_fee_per_gas is not None:
        out["maxFeePerGas"] = hex(view.max_fee_per_gas)
    if view.max_priority_fee_per_gas is not None:
        out["maxPriorityFeePerGas"] = hex(view.max_priority_fee_per_gas)
    if kind == SET_CODE:
        out["authorizationList"] = [authorization(a) for a in view.authorization_list or ()]
    if view.extra:
        out.update(view.extra)
    return out


def access_list(entries: tuple[wire.AccessListEntry, ...]) -> list[dict[str, Any]]:
    """An EIP-2930 access list."""
    return [
        {
            "address": data(entry.address),
            "storageKeys": [data(key) for key in entry.storage_keys],
        }
        for entry in entries
    ]


def authorization(value: wire.SetCodeAuthorization) -> dict[str, Any]:
    """An EIP-7702 authorization."""
    return {
        "chainId": hex(value.chain_id),
        "address": data(value.address),
        "nonce": hex(value.nonce),
        "yParity": hex(value.y_parity),
        "r": hex(value.r),
        "s": hex(value.s),
    }


def log(view: wire.LogView) -> dict[str, Any]:
    """A log."""
    return {
        "address": data(view.address),
        "topics": [data(topic) for topic in view.topics],
        "data": data(view.data),
        "blockHash": data(view.block_hash),
        "blockNumber": hex(view.block_number),
        "blockTimestamp": hex(view.block_timestamp),
        "transactionHash": data(view.transaction_hash),
        "transactionIndex": hex(view.transaction_index),
        "logIndex": hex(view.log_index),
        "removed": False,
    }


def receipt(view: wire.ReceiptView) -> dict[str, Any]:
    """A receipt with its logs."""
    return {
        "transactionHash": data(view.transaction_hash),
        "transactionIndex": hex(view.transaction_index),
        "blockHash": data(view.block_hash),
        "blockNumber": hex(view.block_number),
        "from": data(view.from_),
        "to": None if view.to is None else data(view.to),
        "cumulativeGasUsed": hex(view.cumulative_gas_used),
        "gasUsed": hex(view.gas_used),
        "contractAddress": (None if view.contract_address is None else data(view.contract_address)),
        "logs": [log(item) for item in view.logs],
        "logsBloom": data(view.logs_bloom),
        "status": hex(view.status),
        "effectiveGasPrice": hex(view.effective_gas_price),
        "type": hex(view.type),
        **view.extra,
    }


def simulated_block(value: wire.SimulatedBlock) -> dict[str, Any]:
    """A block of the answer of `eth_simulateV1`."""
    return {**block(value.block), "calls": [_simulated_call(item) for item in value.calls]}


def _simulated_call(value: wire.SimulatedCallResult) -> dict[str, Any]:
    out: dict[str, Any] = {
        "status": hex(value.status),
        "returnData": data(value.return_data),
        "gasUsed": hex(value.gas_used),
        "maxUsedGas": hex(value.peak_gas),
        "logs": [log(item) for item in value.logs],
    }
    failure = value.error
    if failure is not None:
        out["error"] = {"code": failure.code, "message": failure.message}
        if failure.data is not None:
            out["error"]["data"] = data(failure.data)
    return out


def fee_history(history: wire.FeeHistory) -> dict[str, Any]:
    """The answer of `eth_feeHistory`."""
    out: dict[str, Any] = {
        "oldestBlock": hex(history.oldest_block),
        "baseFeePerGas": [hex(fee) for fee in history.base_fee_per_gas],
        "gasUsedRatio": list(history.gas_used_ratio),
    }
    if history.reward is not None:
        out["reward"] = [[hex(fee) for fee in row] for row in history.reward]
    return out


def syncing(progress: dict[str, Any] | None) -> Any:
    """The answer of `eth_syncing`; false when in sync."""
    if progress is None:
        return False
    return {k: hex(v) if type(v) is int else v for k, v in progress.items()}


def header(view: wire.BlockView) -> dict[str, Any]:
    """The notification of `newHeads` for a block: its header, as in geth."""
    out = block(view)
    for name in ("transactions", "uncles", "size", "withdrawals"):
        out.pop(name, None)
    return out


def account_proof(value: wire.AccountProof) -> dict[str, Any]:
    """The answer of `eth_getProof`."""
    return {
        "address": data(value.address),
        "accountProof": [data(node) for node in value.account_proof],
        "balance": hex(value.balance),
        "codeHash": data(value.code_hash),
        "nonce": hex(value.nonce),
        "storageHash": data(value.storage_hash),
        "storageProof": [
            {
                "key": hex(entry.slot) if entry.slot >> 64 == 0 else f"{entry.slot:#066x}",
                "value": hex(entry.value),
                "proof": [data(node) for node in entry.proof],
            }
            for entry in value.storage
        ],
    }


def access_list_result(value: wire.AccessListResult) -> dict[str, Any]:
    """The answer of `eth_createAccessList`."""
    out: dict[str, Any] = {
        "accessList": access_list(value.access_list),
        "gasUsed": hex(value.gas_used),
    }
    if value.error is not None:
        out["error"] = value.error
    return out


_PLACE = ("blockHash", "blockNumber", "transactionIndex", "blockTimestamp", "from")


def signed_transaction(view: wire.TransactionView) -> dict[str, Any]:
    """A signed transaction that is in no pool: the fields of its type, its hash and signature."""
    out = transaction(view)
    for name in _PLACE:
        out.pop(name, None)
    return out


def unsigned_transaction(view: wire.TransactionView) -> dict[str, Any]:
    """A transaction before it is signed."""
    out = signed_transaction(view)
    for name in ("v", "r", "s", "yParity", "hash"):
        out.pop(name, None)
    return out
