"""Entries as the values that the JSON-RPC shows."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from node.execution.state.receipts import EMPTY_BLOOM, Log, Receipt
from node.primitives.basics import (
    EMPTY_TRIE_ROOT,
    ZERO_ADDRESS,
    ZERO_HASH,
)
from node.primitives.births import contract_address
from node.primitives.dev_operation import DEV_OPERATION_TYPE, DevOperation
from node.primitives.message import Message
from node.primitives.messenger import MESSENGER
from node.primitives.transaction import (
    TYPE_DYNAMIC_FEE,
    TYPE_LEGACY,
    TYPE_SET_CODE,
    Transaction,
)
from node.shard.block import ARRIVAL_TYPE, BEACON_OPS_TYPE, BeaconOps
from node.view.entries import Entry, ListedBlock
from node.view.log_query import LogQuery
from rpc.encoding import data
from rpc.wire import (
    AccessListEntry,
    BlockView,
    LogView,
    ReceiptView,
    SetCodeAuthorization,
    TransactionView,
)

MESSAGE_NONCES = 1 << 52
"""The first nonce that is shown of messages: `seq` counts on. No account gets there, and it is exact in
JavaScript. With smaller ones ethers and viem, which look for a transaction of the same sender and nonce while
they wait for a receipt, would take a refund for the replacement of a call that is under way.
"""


def block(listed: ListedBlock, full: bool) -> BlockView:
    """A block with the hashes of its transactions, or with the transactions if `full`."""
    if full:
        whole = tuple(transaction_at(listed, index) for index in range(len(listed.entries)))
        return replace(listed.head, transactions=whole)
    return replace(listed.head, transactions=tuple(entry.hash for entry in listed.entries))


def transaction_at(block: ListedBlock, index: int) -> TransactionView:
    """A transaction of a block."""
    entry = block.entries[index]
    place: dict[str, Any] = {
        "block_hash": block.hash,
        "block_number": block.number,
        "block_timestamp": block.head.timestamp,
        "transaction_index": index,
    }
    match entry.item:
        case Transaction() as tx:
            return _transaction(tx, entry.gas_price, place)
        case Message() as message:
            return _message(message, entry, place)
        case BeaconOps():
            return _operations(entry, place)
        case DevOperation() as operation:
            return _dev_operation(operation, entry, place)


def pending_block(
    head: BlockView,
    base_fee: int,
    pending: Sequence[TransactionView],
    full: bool,
    *,
    ahead: int,
    next_time: int,
) -> BlockView:
    """The block after `head` as far as it can be told: it has no hash, and nothing in it has run.

    Its timestamp is `next_time` if that is not over, else what the validators' clocks and `ahead` make.
    """
    now = next_time if next_time > head.timestamp else int(time.time()) + ahead
    return replace(
        head,
        number=head.number + 1,
        hash=None,
        parent_hash=head.hash or ZERO_HASH,
        nonce=None,
        logs_bloom=EMPTY_BLOOM,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        size=0,
        gas_used=0,
        timestamp=max(head.timestamp, now),
        base_fee_per_gas=base_fee,
        transactions=tuple(pending) if full else tuple(view.hash for view in pending),
    )


def pending_transaction(tx: Transaction) -> TransactionView:
    """A transaction that no block of the view lists yet."""
    return _transaction(tx, tx.max_fee_per_gas, {})


def _transaction(tx: Transaction, gas_price: int, place: dict[str, Any]) -> TransactionView:
    dynamic = tx.type in (TYPE_DYNAMIC_FEE, TYPE_SET_CODE)
    typed = tx.type != TYPE_LEGACY
    return TransactionView(
        hash=tx.hash,
        type=tx.type,
        chain_id=tx.chain_id,
        nonce=tx.nonce,
        from_=tx.sender,
        to=tx.to,
        value=tx.value,
        gas=tx.gas,
        gas_price=gas_price,
        max_fee_per_gas=tx.max_fee_per_gas if dynamic else None,
        max_priority_fee_per_gas=tx.max_priority_fee_per_gas if dynamic else None,
        input=tx.data,
        access_list=_access_list(tx) if typed else None,
        authorization_list=_authorizations(tx) if tx.type == TYPE_SET_CODE else None,
        y_parity=tx.v if typed else None,
        v=tx.v,
        r=tx.r,
        s=tx.s,
        **place,
    )


def _access_list(tx: Transaction) -> tuple[AccessListEntry, ...]:
    return tuple(
        AccessListEntry(address, tuple(slot.to_bytes(32, "big") for slot in slots))
        for address, slots in tx.access_list
    )


def _authorizations(tx: Transaction) -> tuple[SetCodeAuthorization, ...]:
    return tuple(
        SetCodeAuthorization(
            chain_id=a.chain_id, address=a.address, nonce=a.nonce, y_parity=a.y_parity, r=a.r, s=a.s
        )
        for a in tx.authorizations
    )


def _message(message: Message, entry: Entry, place: dict[str, Any]) -> TransactionView:
    return TransactionView(
        hash=entry.hash,
        type=ARRIVAL_TYPE,
        chain_id=None,
        nonce=MESSAGE_NONCES + message.seq,
        from_=message.sender,
        to=message.to,
        value=message.value,
        gas=message.gas,
        gas_price=entry.gas_price,
        input=message.data,
        extra={
            "sourceHash": data(message.id),
            "mint": hex(message.value),
            "isSystemTx": False,
            "originTx": data(message.origin_tx),
        },
        **place,
    )


def _operations(entry: Entry, place: dict[str, Any]) -> TransactionView:
    return TransactionView(
        hash=entry.hash,
        type=BEACON_OPS_TYPE,
        chain_id=None,
        nonce=0,
        from_=ZERO_ADDRESS,
        to=MESSENGER,
        value=0,
        gas=0,
        gas_price=0,
        input=entry.raw[1:],
        extra={"sourceHash": data(entry.hash), "mint": "0x0", "isSystemTx": True},
        **place,
    )


def _dev_operation(operation: DevOperation, entry: Entry, place: dict[str, Any]) -> TransactionView:
    return TransactionView(
        hash=entry.hash,
        type=DEV_OPERATION_TYPE,
        chain_id=None,
        nonce=0,
        from_=ZERO_ADDRESS,
        to=operation.to if operation.has_account else MESSENGER,
        value=0,
        gas=0,
        gas_price=0,
        input=entry.raw[1:],
        extra={
            "sourceHash": data(entry.hash),
            "mint": "0x0",
            "isSystemTx": True,
            "operation": operation.kind.name,
        },
        **place,
    )


def _ends(entry: Entry) -> tuple[int, bytes, bytes | None, bytes | None]:
    """(type, from, to, created contract) of an entry."""
    match entry.item:
        case Transaction() as tx:
            created = contract_address(tx.sender, tx.nonce) if tx.to is None else None
            return tx.type, tx.sender, tx.to, created
        case Message() as message:
            return ARRIVAL_TYPE, message.sender, message.to, None
        case BeaconOps():
            return BEACON_OPS_TYPE, ZERO_ADDRESS, MESSENGER, None
        case DevOperation() as operation:
            to = operation.to if operation.has_account else MESSENGER
            return DEV_OPERATION_TYPE, ZERO_ADDRESS, to, None


def receipt_at(block: ListedBlock, index: int) -> ReceiptView:
    """The receipt of a transaction of a block."""
    entry = block.entries[index]
    kind, sender, to, created = _ends(entry)
    return ReceiptView(
        transaction_hash=entry.hash,
        transaction_index=index,
        block_hash=block.hash,
        block_number=block.number,
        from_=sender,
        to=to,
        cumulative_gas_used=block.cumulative_gas[index],
        gas_used=entry.gas_used,
        contract_address=created,
        logs=tuple(
            log_view(block, index, number, log)
            for number, log in enumerate(entry.logs, block.first_log[index])
        ),
        logs_bloom=block.blooms[index],
        status=entry.status,
        effective_gas_price=entry.gas_price,
        type=kind,
    )


def raw_receipts(block: ListedBlock) -> tuple[bytes, ...]:
    """The receipts of a block in their consensus encoding, as this view shows them."""
    return tuple(
        Receipt(
            type=_ends(entry)[0],
            status=entry.status,
            cumulative_gas_used=block.cumulative_gas[index],
            logs=entry.logs,
        ).encoded
        for index, entry in enumerate(block.entries)
    )


def log_view(block: ListedBlock, index: int, number: int, log: Log) -> LogView:
    """A log of entry `index`, the `number`-th of the block."""
    return LogView(
        address=log.address,
        topics=log.topics,
        data=log.data,
        block_hash=block.hash,
        block_number=block.number,
        block_timestamp=block.head.timestamp,
        transaction_hash=block.entries[index].hash,
        transaction_index=index,
        log_index=number,
    )


def matching_logs(block: ListedBlock, query: LogQuery) -> Iterator[LogView]:
    """The logs of a block that a filter wants, in order."""
    for index, entry in enumerate(block.entries):
        for number, log in enumerate(entry.logs, block.first_log[index]):
            if query.matches(log):
                yield log_view(block, index, number, log)
