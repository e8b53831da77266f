"""From a shard's stored blocks to entries. Pure; meant for a thread, as whole blocks are decoded here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from node.execution.state.receipts import Receipt, decode_receipt
from node.execution.trie.trie import ordered_root
from node.primitives.basics import ShardId, keccak256
from node.primitives.dev_operation import DevOperation
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.header import Header
from node.primitives.message import Message, MessageKind
from node.primitives.transaction import Transaction, decode_final, decode_transaction
from node.query import legs
from node.query.port import Leg, RawBlock
from node.shard.block import BeaconOps, BodyItem, ShardBlock, decode_item, item_name
from node.shard.recent import RecentBlock
from node.view.entries import Entry, Place
from rpc.wire import BlockView


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBlock:
    """A shard block with its items decoded and the receipt of each."""

    shard: ShardId
    header: Header
    raw: tuple[bytes, ...]
    items: tuple[BodyItem, ...]
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """The transaction behind a CALL that arrived, and the gas it had used on its source shard."""

    tx: Transaction
    gas_used: int


def open_block(shard: ShardId, stored: RawBlock, expected: Header | None = None) -> OpenBlock:
    """Decode a block and its receipts. Raises DecodeError.

    With `expected`, the header that the beacon has finalised, the source of the block needs no trust: items and
    receipts must be those that the header commits to.
    """
    block = ShardBlock.decode(stored.block)
    receipts = tuple(decode_receipt(raw) for raw in stored.receipts)
    if len(receipts) != len(block.items):
        raise DecodeError("a block has not one receipt for each of its items")
    if expected is not None:
        if block.header != expected:
            raise DecodeError(f"block {expected.number} is not the one that was finalised")
        if ordered_root(block.items) != expected.transactions_root:
            raise DecodeError(f"block {expected.number} has other items than its header says")
        if ordered_root(stored.receipts) != expected.receipts_root:
            raise DecodeError(f"block {expected.number} has other receipts than its header says")
    try:
        items = tuple(decode_item(raw, decode_final) for raw in block.items)
    except InvalidTransaction as error:
        raise DecodeError(f"a block holds an invalid transaction: {error}") from None
    return OpenBlock(
        shard=shard, header=block.header, raw=block.items, items=items, receipts=receipts
    )


def opened(shard: ShardId, known: RecentBlock) -> OpenBlock:
    """A block of ours that is in memory, decoded."""
    return OpenBlock(
        shard=shard,
        header=known.block.header,
        raw=known.block.items,
        items=known.items,
        receipts=known.receipts,
    )


def delivered_calls(block: OpenBlock) -> Iterator[Message]:
    """The CALLs that ran in this block (not those that were sent on)."""
    for item, receipt in zip(block.items, block.receipts, strict=True):
        if (
            isinstance(item, Message)
            and item.kind is MessageKind.CALL
            and legs.forwarded(item, receipt) is None
        ):
            yield item


def origin_of(message: Message, leg: Leg | None) -> Origin | None:
    """The transaction by which `message.sender` sent the message; None where there is no such one.

    Raises DecodeError where the leg is not of the transaction that was asked for.
    """
    if leg is None or leg.departure is None:
        return None
    if keccak256(leg.raw) != message.origin_tx:
        raise DecodeError("a leg belongs to another transaction")
    try:
        tx = decode_transaction(leg.raw)
    except InvalidTransaction as error:
        raise DecodeError(f"a leg holds an invalid transaction: {error}") from None
    return Origin(tx, leg.gas_used) if tx.sender == message.sender else None


def network_entries(block: OpenBlock, origins: Mapping[bytes, Origin]) -> Iterator[Entry]:
    """The entries of a shard block in the network view; `origins` by message id.

    A transaction is listed on the shard where it ran. Departures and forwarded messages are left out. So are
    the books of the protocol: beacon and development operations, the logs in which it announces its messages.
    """
    for index, (item, receipt) in enumerate(zip(block.items, block.receipts, strict=True)):
        match item:
            case Transaction() if legs.departure(item, receipt) is not None:
                continue
            case Message() if legs.forwarded(item, receipt) is not None:
                continue
            case BeaconOps() | DevOperation():
                continue
            case Message() if (origin := origins.get(item.id)) is not None:
                arrived = _entry(block, index)
                yield replace(
                    arrived,
                    hash=origin.tx.hash,
                    item=origin.tx,
                    raw=origin.tx.raw,
                    gas_used=arrived.gas_used + origin.gas_used,
                    gas_before=origin.gas_used,
                    tip=min(arrived.tip, origin.tx.max_priority_fee_per_gas),
                    logs=legs.own_logs(arrived.logs),
                )
            case _:
                entry = _entry(block, index)
                yield replace(entry, logs=legs.own_logs(entry.logs)) if entry.logs else entry


def shard_entries(block: OpenBlock) -> tuple[Entry, ...]:
    """Everything in a shard block, as it is."""
    return tuple(_entry(block, index) for index in range(len(block.items)))


def _entry(block: OpenBlock, index: int) -> Entry:
    item, raw, receipt = block.items[index], block.raw[index], block.receipts[index]
    base_fee = block.header.base_fee_per_gas
    match item:
        case Transaction():
            left = legs.departure(item, receipt) if receipt.logs else None
            price = item.effective_gas_price(base_fee) if left is None else left.gas_price
        case Message():
            price = item.gas_price
        case BeaconOps() | DevOperation():
            price = 0
    return Entry(
        hash=item_name(item, raw, block.shard, block.header.number),
        place=Place(block.shard, block.header.number, index),
        item=item,
        raw=raw,
        status=receipt.status,
        gas_used=legs.gas_used(block.receipts, index),
        gas_price=price,
        tip=max(0, price - base_fee),
        logs=receipt.logs,
    )


def head_view(header: Header, size: int) -> BlockView:
    """A shard's header is an Ethereum header: field by field."""
    return BlockView(
        number=header.number,
        hash=header.hash,
        parent_hash=header.parent_hash,
        nonce=header.nonce,
        sha3_uncles=header.ommers_hash,
        logs_bloom=header.logs_bloom,
        transactions_root=header.transactions_root,
        state_root=header.state_root,
        receipts_root=header.receipts_root,
        miner=header.coinbase,
        difficulty=header.difficulty,
        extra_data=header.extra_data,
        size=size,
        gas_limit=header.gas_limit,
        gas_used=header.gas_used,
        timestamp=header.timestamp,
        base_fee_per_gas=header.base_fee_per_gas,
        mix_hash=header.prev_randao,
        withdrawals_root=header.withdrawals_root,
        blob_gas_used=header.blob_gas_used,
        excess_blob_gas=header.excess_blob_gas,
        parent_beacon_block_root=header.parent_beacon_block_root,
        requests_hash=header.requests_hash,
    )
