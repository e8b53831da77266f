"""The `atoll_` namespace: what Ethereum's methods have no words for."""

from rpc import decode
from rpc.encoding import parse_hash
from rpc.methods.table import ADDRESS, HASH, LATEST, Method, ask, show
from rpc.params import Param
from rpc.times import EXECUTE

MAX_VOTED_BLOCKS = 64
"""Network blocks whose votes one call tells."""


def _height(value: object) -> int | None:
    return None if value == "latest" else decode.uint64(value)


def _count(value: object) -> int:
    count = decode.count(value)
    if not 1 <= count <= MAX_VOTED_BLOCKS:
        raise ValueError(f"{count} is not 1 to {MAX_VOTED_BLOCKS}")
    return count


METHODS: dict[str, Method] = {
    "atoll_home": Method((ADDRESS,), ask(lambda c: c.backend.atoll.home, hex)),
    "atoll_shards": Method((), ask(lambda c: c.backend.atoll.shards)),
    "atoll_committees": Method((LATEST,), ask(lambda c: c.backend.atoll.committees)),
    "atoll_lanes": Method((LATEST,), ask(lambda c: c.backend.atoll.lanes)),
    "atoll_networkBlock": Method((LATEST,), ask(lambda c: c.backend.atoll.network_block)),
    "atoll_shardBlock": Method(
        (Param("shard", decode.uint64), Param("height", _height, None)),
        ask(lambda c: c.backend.atoll.shard_block),
    ),
    "atoll_votes": Method(
        (LATEST, Param("count", _count, 1)), ask(lambda c: c.backend.atoll.votes)
    ),
    "atoll_message": Method(
        (Param("message id", parse_hash),), ask(lambda c: c.backend.atoll.message)
    ),
    "atoll_proveMessage": Method(
        (Param("message id", parse_hash),), ask(lambda c: c.backend.atoll.prove_message)
    ),
    "atoll_trace": Method(
        (Param("transaction hash or message id", parse_hash),),
        ask(lambda c: c.backend.atoll.trace),
        EXECUTE,
    ),
    "atoll_reason": Method((HASH,), ask(lambda c: c.chain.traces.reason), EXECUTE),
    "atoll_audit": Method((LATEST,), ask(lambda c: c.backend.atoll.audit), EXECUTE),
    "atoll_validators": Method((), show(lambda c: c.backend.node.validators())),
    "atoll_evidence": Method((), show(lambda c: c.backend.node.evidence())),
    "atoll_status": Method((), show(lambda c: c.backend.node.status())),
}
