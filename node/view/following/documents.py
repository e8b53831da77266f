"""Parts of the network's state as JSON. Pure.

Ids, heights and counts are plain JSON numbers, hashes and amounts of wei are 0x hex strings.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from node.beacon.block import BeaconBlock
from node.beacon.state import BeaconState
from node.primitives.basics import ShardId
from node.primitives.errors import DecodeError
from node.primitives.header import Header
from node.primitives.message import MessageKind
from node.query.records import BlockBrief, MessageBrief
from rpc.encoding import data


def committees(state: BeaconState, names: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """The members of all committees with their stake; `names` are those of the shards' nodes."""
    return {
        "beacon": _members(state.beacon_committee()),
        "shards": [
            {
                "id": shard,
                "nodes": list(names.get(shard, ())),
                "members": _members(state.committee(ShardId(shard))),
            }
            for shard in range(state.shards)
        ],
    }


def _members(members: Iterable[tuple[bytes, int]]) -> list[dict[str, str]]:
    return [{"address": data(address), "stake": hex(stake)} for address, stake in members]


def network_block(block: BeaconBlock, state: BeaconState) -> dict[str, Any]:
    """A network block: per shard its header there, and the headers that came in with this block."""
    return {
        "number": block.height,
        "hash": data(block.hash),
        "parentHash": data(block.header.parent),
        "timestamp": block.header.timestamp,
        "stateRoot": data(block.header.state_root),
        "shards": [
            {"id": shard, "tip": _header(tip.header), "anchor": tip.anchor_height}
            for shard, tip in state.tips().items()
        ],
        "crosslinks": [
            {"shard": link.shard, **_header(link.header)} for link in block.body.crosslinks
        ],
    }


def _header(header: Header) -> dict[str, Any]:
    return {
        "height": header.number,
        "hash": data(header.hash),
        "stateRoot": data(header.state_root),
        "gasUsed": header.gas_used,
        "timestamp": header.timestamp,
    }


def shard_block(
    shard: int, header: Header, brief: BlockBrief, anchor: int | None, network_block: int | None
) -> dict[str, Any]:
    """A block of a shard without its items."""
    return {
        "shard": shard,
        **_header(header),
        "gasLimit": header.gas_limit,
        "proposer": data(header.coinbase),
        "transactions": brief.transactions,
        "arrivals": brief.arrivals,
        "anchor": anchor,
        "networkBlock": network_block,
    }


def message(it: MessageBrief) -> dict[str, Any]:
    """The fields of a message but its data, of which the first bytes and the size are named."""
    return {
        "id": data(it.id),
        "src": it.src,
        "dst": it.dst,
        "seq": it.seq,
        "kind": kind_name(it.kind),
        "from": data(it.sender),
        "to": data(it.to),
        "value": amount(it.value),
        "gas": it.gas,
        "gasPrice": amount(it.gas_price),
        "refundTo": data(it.refund_to),
        "selector": data(it.selector) if it.selector else None,
        "dataSize": it.size,
        "replyGas": it.reply_gas,
        "callback": data(it.callback) if it.callback else None,
        "inReplyTo": data(it.in_reply_to) if it.in_reply_to else None,
        "originTx": data(it.origin_tx),
        "depth": it.depth,
    }


def kind_name(kind: int) -> str:
    """CALL, REPLY or CREDIT; raises DecodeError for any other kind."""
    try:
        return MessageKind(kind).name
    except ValueError:
        raise DecodeError(f"there is no message kind {kind}") from None


def amount(value: bytes) -> str:
    return hex(int.from_bytes(value, "big"))
