"""Rendered objects have the members and patterns of execution-apis, whatever values they carry.

The shapes are copied by hand from the OpenRPC documents of https://github.com/ethereum/execution-apis
(`src/schemas/*.yaml`).
"""

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpc import render
from rpc.wire import (
    AccessListEntry,
    BlockView,
    FeeHistory,
    LogView,
    ReceiptView,
    SetCodeAuthorization,
    TransactionView,
)

UINT = r"0x(0|[1-9a-f][0-9a-f]*)"
BYTES = r"0x([0-9a-f]{2})*"


def fixed(length):
    return rf"0x[0-9a-f]{{{2 * length}}}"


ADDRESS, HASH, BLOOM = fixed(20), fixed(32), fixed(256)
NULLABLE_ADDRESS = (ADDRESS, None)
LOG = {
    "removed": bool,
    "logIndex": UINT,
    "transactionIndex": UINT,
    "transactionHash": HASH,
    "blockHash": HASH,
    "blockNumber": UINT,
    "blockTimestamp": UINT,
    "address": ADDRESS,
    "data": BYTES,
    "topics": [HASH],
}
RECEIPT = {
    "type": r"0x[0-9a-f]{1,2}",
    "transactionHash": HASH,
    "transactionIndex": UINT,
    "blockHash": HASH,
    "blockNumber": UINT,
    "from": ADDRESS,
    "to": NULLABLE_ADDRESS,
    "cumulativeGasUsed": UINT,
    "gasUsed": UINT,
    "contractAddress": NULLABLE_ADDRESS,
    "logs": [LOG],
    "logsBloom": BLOOM,
    "status": UINT,
    "effectiveGasPrice": UINT,
}
BLOCK = {
    **dict.fromkeys(
        [
            "hash",
            "parentHash",
            "sha3Uncles",
            "stateRoot",
            "transactionsRoot",
            "receiptsRoot",
            "mixHash",
            "withdrawalsRoot",
            "parentBeaconBlockRoot",
            "requestsHash",
        ],
        HASH,
    ),
    **dict.fromkeys(
        [
            "difficulty",
            "number",
            "gasLimit",
            "gasUsed",
            "timestamp",
            "baseFeePerGas",
            "blobGasUsed",
            "excessBlobGas",
            "size",
        ],
        UINT,
    ),
    "miner": ADDRESS,
    "logsBloom": BLOOM,
    "extraData": BYTES,
    "nonce": fixed(8),
    "uncles": [],
    "withdrawals": [],
}
CONTEXT = {
    "blockHash": HASH,
    "blockNumber": UINT,
    "blockTimestamp": UINT,
    "from": ADDRESS,
    "hash": HASH,
    "transactionIndex": UINT,
    "nonce": UINT,
    "gas": UINT,
    "value": UINT,
    "input": BYTES,
    "gasPrice": UINT,
    "v": UINT,
    "r": UINT,
    "s": UINT,
}
ACCESS_LIST = {"accessList": [{"address": ADDRESS, "storageKeys": [HASH]}], "yParity": UINT}
DYNAMIC = {"maxFeePerGas": UINT, "maxPriorityFeePerGas": UINT}
AUTHORIZATION = {
    "chainId": UINT,
    "nonce": UINT,
    "address": ADDRESS,
    "yParity": UINT,
    "r": UINT,
    "s": UINT,
}
SYSTEM = {"sourceHash": HASH, "mint": UINT, "isSystemTx": bool}
SIGNED = {"to": ADDRESS, "chainId": UINT}
TRANSACTIONS = [
    CONTEXT | {"type": "0x0", "to": NULLABLE_ADDRESS, "chainId": UINT},
    CONTEXT | SIGNED | ACCESS_LIST | {"type": "0x1"},
    CONTEXT | SIGNED | ACCESS_LIST | DYNAMIC | {"type": "0x2"},
    CONTEXT
    | SIGNED
    | ACCESS_LIST
    | DYNAMIC
    | {"type": "0x4", "authorizationList": [AUTHORIZATION]},
    CONTEXT | SYSTEM | {"type": "0x7d", "to": ADDRESS},
    CONTEXT | SYSTEM | {"type": "0x7e", "to": ADDRESS},
]


def conforms(value, shape, path=""):
    """Checks a JSON value against a shape: pattern, type, alternatives, list of one shape, or members."""
    match shape:
        case None:
            assert value is None, path
        case str():
            assert isinstance(value, str), path
            assert re.fullmatch(shape, value), f"{path}: {value}"
        case type():
            assert type(value) is shape, path
        case tuple():
            conforms(value, shape[1] if value is None else shape[0], path)
        case []:
            assert value == [], path
        case [item]:
            for i, element in enumerate(value):
                conforms(element, item, f"{path}[{i}]")
        case dict():
            assert value.keys() == shape.keys(), path
            for name, member in shape.items():
                conforms(value[name], member, f"{path}.{name}")


uints = st.integers(0, 2**256 - 1)
addresses, words = st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)
blooms = st.just(bytes(256))
payloads = st.binary(max_size=40)
BY_NAME = {
    "hash": words,
    "from_": addresses,
    "to": st.none() | addresses,
    "address": addresses,
    "miner": addresses,
    "contract_address": st.none() | addresses,
    "nonce": uints,
    "input": payloads,
    "data": payloads,
    "extra_data": payloads,
    "logs_bloom": blooms,
    "topics": st.lists(words, max_size=4).map(tuple),
    "status": st.sampled_from((0, 1)),
    "y_parity": st.sampled_from((0, 1)),
}
WORDS = ("_hash", "_root", "_uncles")


def views(kind, **given_fields):
    """Any value of a view: the strategy of a field follows from its name."""
    fields = {}
    for name in kind.__dataclass_fields__:
        if name in ("extra",):
            continue
        by_default = words if name.endswith(WORDS) else uints
        fields[name] = given_fields.get(name, BY_NAME.get(name, by_default))
    return st.builds(kind, **fields)


def tuples(strategy):
    return st.lists(strategy, max_size=3).map(tuple)


access_lists = tuples(st.builds(AccessListEntry, addresses, tuples(words)))
authorizations = tuples(views(SetCodeAuthorization))
log_views = views(LogView)


def transaction_views(kind):
    system = kind >= 0x7D
    absent = st.none()
    return views(
        TransactionView,
        type=st.just(kind),
        to=BY_NAME["to"] if kind == 0 else addresses,
        chain_id=absent if system else uints,
        access_list=access_lists if kind in (1, 2, 4) else absent,
        authorization_list=authorizations if kind == 4 else absent,
        max_fee_per_gas=uints if kind in (2, 4) else absent,
        max_priority_fee_per_gas=uints if kind in (2, 4) else absent,
        y_parity=BY_NAME["y_parity"] if kind in (1, 2, 4) else absent,
    )


def sent(rendered):
    return json.loads(msgspec.json.encode(rendered))


@pytest.mark.parametrize("index", range(4))
@given(data=st.data())
def test_transactions_of_ethereum(index, data):
    view = data.draw(transaction_views((0, 1, 2, 4)[index]))
    conforms(sent(render.transaction(view)), TRANSACTIONS[index])


@pytest.mark.parametrize("index", [4, 5])
@given(data=st.data())
def test_system_transactions_carry_their_extra_members(index, data):
    view = data.draw(transaction_views((0x7D, 0x7E)[index - 4]))
    view.extra.update({"sourceHash": "0x" + "0a" * 32, "mint": "0x0", "isSystemTx": False})
    conforms(sent(render.transaction(view)), TRANSACTIONS[index])


def test_a_pending_transaction_has_null_for_its_block():
    pending = TransactionView(
        hash=bytes(32),
        type=2,
        chain_id=1,
        nonce=0,
        from_=bytes(20),
        to=bytes(20),
        value=0,
        gas=1,
        gas_price=2,
    )
    rendered = render.transaction(pending)
    assert [rendered[k] for k in ("blockHash", "blockNumber", "transactionIndex")] == [None] * 3
    assert rendered["accessList"] == []


@given(views(ReceiptView, logs=tuples(log_views), type=st.sampled_from((0, 1, 2, 4, 0x7D, 0x7E))))
def test_receipts_and_their_logs(view):
    conforms(sent(render.receipt(view)), RECEIPT)


block_fields = {
    "nonce": st.binary(min_size=8, max_size=8),
    "parent_beacon_block_root": words,
}


@given(views(BlockView, transactions=tuples(words), **block_fields))
def test_blocks_with_hashes(view):
    conforms(sent(render.block(view)), BLOCK | {"transactions": [HASH]})


@given(views(BlockView, transactions=tuples(transaction_views(2)), **block_fields))
def test_blocks_with_whole_transactions(view):
    conforms(sent(render.block(view)), BLOCK | {"transactions": [TRANSACTIONS[2]]})


@given(tuples(uints), st.none() | tuples(tuples(uints)))
def test_fee_histories(fees, reward):
    history = FeeHistory(
        oldest_block=1, base_fee_per_gas=fees, gas_used_ratio=(0.5, 1.0), reward=reward
    )
    shape = {"oldestBlock": UINT, "baseFeePerGas": [UINT], "gasUsedRatio": [float]}
    conforms(
        sent(render.fee_history(history)), shape | ({} if reward is None else {"reward": [[UINT]]})
    )
