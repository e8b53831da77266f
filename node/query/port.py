"""The port to one shard's chain, and the values of its answers.

The network view asks for shards by this port alone. For the node's own shard it is answered from its own
database, for the others by a node of that shard over the network (the values are msgpack there, so amounts
beyond 64 bits are byte strings). Every answer about decided blocks is final: it can be cached.
"""

from typing import Annotated, Protocol, TypeVar

import msgspec

from node.query.question import Question
from rpc.limits import SPAN

T = TypeVar("T")

MAX_PROOF_NODES = 32_768
"""Trie nodes of one answer: those of `SPAN.accounts` and `SPAN.slots` in tries of any size that there is."""


class AccountAt(msgspec.Struct, frozen=True, kw_only=True):
    """An account at one height. `balance` is big endian."""

    nonce: int
    balance: bytes
    code: bytes = b""


class RawBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A decided block as it is stored: encoded block, encoded receipts, encoded requests."""

    block: bytes
    receipts: list[bytes]


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """The CALL message by which a transaction (or a forwarded message) left."""

    dst: int
    seq: int


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """The inclusion of a transaction: its place, its gas there, and the destination if it departed."""

    height: int
    index: int
    raw: bytes
    gas_used: int
    departure: Departure | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery of a message: its place and its outcome; `forwarded` if its recipient had moved on."""

    height: int
    index: int
    success: bool
    gas_used: int
    forwarded: Departure | None = None


class SlotProof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one slot against the account's storage root; `value` is big endian."""

    slot: bytes
    value: bytes
    proof: list[bytes]


class ProvenAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account with the proof of it against the state root of its shard's header, nodes from the root
    down. `balance` is big endian."""

    nonce: int
    balance: bytes
    code_hash: bytes
    storage_root: bytes
    proof: list[bytes]
    slots: list[SlotProof]


class ProvenGuests(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts and slots of one state, as the trie nodes on the paths to them, each once; and codes."""

    nodes: Annotated[list[bytes], msgspec.Meta(max_length=MAX_PROOF_NODES)]
    codes: Annotated[list[bytes], msgspec.Meta(max_length=SPAN.accounts)]


class PoolCounts(msgspec.Struct, frozen=True, kw_only=True):
    pending: int
    queued: int


class PoolDump(msgspec.Struct, frozen=True, kw_only=True):
    """Pooled transactions as signed, by sender and nonce; as many as an answer can hold. `reasons` says by
    hash why some of `pending` wait all the same."""

    pending: list[bytes]
    queued: list[bytes]
    reasons: dict[bytes, str] = {}


class PoolNews(msgspec.Struct, frozen=True, kw_only=True):
    """Hashes of transactions that came into the pool, oldest first. `position` in the news of `epoch` is
    where to go on; another node, or this one after a restart, has another epoch."""

    epoch: int
    position: int
    hashes: list[bytes]


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Sum of all balances, and all wei ever destroyed on the shard, at one height; big endian. `issued` is
    what development operations made, less what they took away: 32 bytes, two's complement."""

    balances: bytes
    burned: bytes
    issued: bytes = bytes(32)


class MessageAt(msgspec.Struct, frozen=True, kw_only=True):
    """A message of this shard's outbox and the block that sent it."""

    height: int
    index: int
    message: bytes


class LaneKey(msgspec.Struct, frozen=True, kw_only=True):
    src: int
    dst: int
    seq: int


BUSY = -32005
"""The code of a refusal because there is too much to do, or to read."""


class Refused(Exception):
    """The shard understood and says no; `code` is that of JSON-RPC, the text is for the user."""

    def __init__(self, message: str, code: int = -32000) -> None:
        super().__init__(message)
        self.code = code


class ShardUnavailable(Exception):
    """No node of the shard answered in time."""


class ShardSource(Protocol):
    """One shard's chain. A `height` in a question names a decided block; a node that is not there yet waits a
    little."""

    async def ask(self, question: Question[T]) -> T:
        """Raises Refused, or ShardUnavailable."""
