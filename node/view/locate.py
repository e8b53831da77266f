"""Finding a transaction among the shards, from its departure to the block in which it ran."""

from collections.abc import Callable
from typing import TypeVar

from node.concurrency.caching import Lru
from node.primitives.basics import ShardId, keccak256
from node.primitives.dev_operation import DEV_OPERATION_TYPE
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.transaction import Transaction, decode_transaction
from node.query.port import Delivery, Departure, Leg
from node.query.question import Question
from node.query.questions import DeliveryQuestion, FindMessageQuestion, LegQuestion, PooledQuestion
from node.view.chain_view import Included, PendingTransaction
from node.view.entries import ListedBlock
from node.view.ports import BeaconReader
from node.view.shards import Shards
from rpc.errors import ResourceUnavailable

T = TypeVar("T")

MAX_HOPS = 6
"""Of a message that is sent on; those of honest shards are sent on once."""
KNOWN_PLACES = 200_000
KNOWN_HOMES = 50_000


class TransactionFinder:
    """Remembers where transactions are: for good once a network block lists them, and until then on
    which shard they were sent or seen (most questions are polls for one that was sent through us).
    `pooled` says whether a transaction is in this node's own pool."""

    def __init__(
        self,
        beacon: BeaconReader,
        shards: Shards,
        head: Callable[[], int],
        pooled: Callable[[bytes], bool],
    ) -> None:
        self._beacon = beacon
        self._shards = shards
        self._head = head
        self._pooled = pooled
        self._places: Lru[bytes, int] = Lru(KNOWN_PLACES)
        self._homes: Lru[bytes, int] = Lru(KNOWN_HOMES)

    def note_listed(self, block: ListedBlock) -> None:
        for entry in block.entries:
            self._places.put(entry.hash, block.number)

    def note_home(self, tx_hash: bytes, shard: int) -> None:
        """The transaction is in the pool of this shard, if it is not in a block."""
        self._homes.put(tx_hash, shard)

    async def find(self, tx_hash: bytes, *, pooled: bool) -> Included | PendingTransaction | None:
        """None where no shard knows the hash. Raises ResourceUnavailable if one that may know is away."""
        number = self._places.get(tx_hash)
        if number is not None:
            return Included(number)
        if not pooled and self._pooled(tx_hash):
            return None  # a transaction in our pool is in no block
        included = await self._included(tx_hash, pooled=pooled)
        if included is not None:
            return included
        if pooled:
            waiting = await self._ask(tx_hash, PooledQuestion(tx_hash=tx_hash))
            if waiting is not None:
                shard, raw = waiting
                _check_named(shard, raw, tx_hash)
                tx = _decode(shard, raw)
                self.note_home(tx_hash, shard)
                return PendingTransaction(tx)
            # it may have moved from the pool into a block between the two questions
            included = await self._included(tx_hash, pooled=True)
            if included is not None:
                return included
        if self._homes.get(tx_hash) is not None:
            return None
        return await self._message(tx_hash)

    async def _ask(self, tx_hash: bytes, question: Question[T | None]) -> tuple[int, T] | None:
        """The shard that knows and its answer; only the transaction's home is asked where we know it."""
        home = self._homes.get(tx_hash)
        if home is None:
            return await self._shards.find(question)
        answer = await self._shards.ask(home, question)
        return None if answer is None else (home, answer)

    async def _included(
        self, tx_hash: bytes, *, pooled: bool
    ) -> Included | PendingTransaction | None:
        """The place of a transaction in the shards' blocks.

        A caller that does not want `pooled` ones has no use for the transaction itself: its signature is not
        recovered then.
        """
        found = await self._ask(tx_hash, LegQuestion(tx_hash=tx_hash))
        if found is None:
            return None
        shard, leg = found
        self.note_home(tx_hash, shard)
        if leg.raw[:1] == bytes([DEV_OPERATION_TYPE]):
            return None  # the network's blocks do not list it
        _check_named(shard, leg.raw, tx_hash)
        included = await self._follow(shard, leg, leg.departure)
        if included is not None or not pooled:
            return included
        return PendingTransaction(_decode(shard, leg.raw))

    async def _message(self, message_id: bytes) -> Included | None:
        """Arrivals that no transaction stands for are listed under the message's id."""
        found = await self._shards.find(FindMessageQuestion(message_id=message_id))
        if found is None:
            return None
        _, lane = found
        onward = Departure(dst=lane.dst, seq=lane.seq)
        return await self._follow(lane.src, None, onward)

    async def _follow(
        self, shard: int, leg: Leg | Delivery | None, departure: Departure | None
    ) -> Included | None:
        """The network block in which a journey ends, None while it is under way."""
        place = leg
        for _ in range(MAX_HOPS):
            if departure is None:
                break
            if not self._is_delivered(shard, departure):
                return None  # and its shard, which may be away, need not be asked
            place = await delivery_of(self._shards, shard, departure)
            if place is None:
                return None
            shard, departure = departure.dst, place.forwarded
        if place is None:
            return None
        number = self._beacon.crosslinked_in(ShardId(shard), place.height)
        return Included(number) if number is not None and number <= self._head() else None

    def _is_delivered(self, src: int, departure: Departure) -> bool:
        """True if a network block shows the delivery."""
        if src not in self._shards or departure.dst not in self._shards:
            raise ResourceUnavailable(f"shard {src} named a lane that does not exist")
        state = self._beacon.state_at(self._head())
        return departure.seq < state.lane(ShardId(src), ShardId(departure.dst)).consumed


async def delivery_of(shards: Shards, src: int, departure: Departure) -> Delivery | None:
    """The delivery of a message on its destination, None while it has not arrived."""
    if src not in shards or departure.dst not in shards:
        raise ResourceUnavailable(f"shard {src} named a lane that does not exist")
    return await shards.ask(departure.dst, DeliveryQuestion(src=src, seq=departure.seq))


def _check_named(shard: int, raw: bytes, tx_hash: bytes) -> None:
    if keccak256(raw) != tx_hash:
        raise _other(shard)


def _decode(shard: int, raw: bytes) -> Transaction:
    try:
        return decode_transaction(raw)
    except (DecodeError, InvalidTransaction):
        raise _other(shard) from None


def _other(shard: int) -> ResourceUnavailable:
    return ResourceUnavailable(f"shard {shard} is unavailable: it named another transaction")
