"""The `atoll_` namespace: what Ethereum's methods have no words for."""

from typing import Any

from rpc import decode
from rpc.encoding import parse_hash
from rpc.methods.table import ADDRESS, LATEST, Context, Method
from rpc.params import Param
from rpc.times import EXECUTE
from rpc.wire import BlockRef

MAX_VOTED_BLOCKS = 64
"""Network blocks whose votes one call tells."""


async def _home(c: Context, address: bytes) -> str:
    return hex(await c.backend.home(address))


async def _shards(c: Context) -> Any:
    return await c.backend.shards()


async def _committees(c: Context, ref: BlockRef) -> Any:
    return await c.backend.committees(ref)


async def _lanes(c: Context, ref: BlockRef) -> Any:
    return await c.backend.lanes(ref)


async def _network_block(c: Context, ref: BlockRef) -> Any:
    return await c.backend.network_block(ref)


async def _shard_block(c: Context, shard: int, height: int | None) -> Any:
    return await c.backend.shard_block(shard, height)


async def _votes(c: Context, ref: BlockRef, count: int) -> Any:
    return await c.backend.votes(ref, count)


async def _message(c: Context, message_id: bytes) -> Any:
    return await c.backend.message(message_id)


async def _prove_message(c: Context, message_id: bytes) -> Any:
    return await c.backend.prove_message(message_id)


async def _trace(c: Context, name: bytes) -> Any:
    return await c.backend.trace(name)


async def _audit(c: Context, ref: BlockRef) -> Any:
    return await c.backend.audit(ref)


async def _validators(c: Context) -> Any:
    return await c.backend.validators()


async def _evidence(c: Context) -> Any:
    return await c.backend.evidence()


async def _status(c: Context) -> Any:
    return await c.backend.status()


def _height(value: object) -> int | None:
    return None if value == "latest" else decode.uint64(value)


def _count(value: object) -> int:
    count = decode.count(value)
    if not 1 <= count <= MAX_VOTED_BLOCKS:
        raise ValueError(f"{count} is not 1 to {MAX_VOTED_BLOCKS}")
    return count


METHODS: dict[str, Method] = {
    "atoll_home": Method((ADDRESS,), _home),
    "atoll_shards": Method((), _shards),
    "atoll_committees": Method((LATEST,), _committees),
    "atoll_lanes": Method((LATEST,), _lanes),
    "atoll_networkBlock": Method((LATEST,), _network_block),
    "atoll_shardBlock": Method(
        (Param("shard", decode.uint64), Param("height", _height, None)), _shard_block
    ),
    "atoll_votes": Method((LATEST, Param("count", _count, 1)), _votes),
    "atoll_message": Method((Param("message id", parse_hash),), _message),
    "atoll_proveMessage": Method((Param("message id", parse_hash),), _prove_message),
    "atoll_trace": Method((Param("transaction hash or message id", parse_hash),), _trace, EXECUTE),
    "atoll_audit": Method((LATEST,), _audit, EXECUTE),
    "atoll_validators": Method((), _validators),
    "atoll_evidence": Method((), _evidence),
    "atoll_status": Method((), _status),
}
