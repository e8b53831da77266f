"""The beacon state: a typed view of a Merkle-Patricia trie (docs/protocol.md, "Beacon chain").

Every entry is one leaf under the keccak256 of its name, its value an RLP list:

    shards                          [count]
    tip       || shard              [anchor height, header]            the last crosslinked header
    lane      || src || dst         [consumed, [[count, head], ...]]   absent: nothing was ever sent
    home      || address            [shard]                            absent: home by range
    committee || shard              [[address, stake], ...]            stake in wei
    committee                       the beacon's committee

Shard ids are 2 bytes in names. The committees are the genesis' in this version; they are part of the
state so that a later one can draw them anew each epoch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from node.execution.trie import Trie
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId, keccak_fast
from node.primitives.errors import CorruptData, DecodeError
from node.primitives.header import Header
from node.primitives.message import LanePosition
from node.primitives.placement import home_by_range

_T = TypeVar("_T")

MAX_REMEMBERED_HOMES = 1 << 16

Members: TypeAlias = tuple[tuple[Address, int], ...]
"""A committee as the state holds it: (consensus address, stake in wei) by ascending address."""


@dataclass(frozen=True, kw_only=True)
class ShardTip:
    """The newest header of a shard that the beacon has taken in, and how far that had seen the beacon."""

    anchor_height: int
    header: Header

    @property
    def height(self) -> int:
        return self.header.number

    @property
    def hash(self) -> Hash32:
        return self.header.hash


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """A lane as the beacon knows it: `consumed` messages, and finalised positions beyond these."""

    consumed: int = 0
    checkpoints: tuple[LanePosition, ...] = ()

    @property
    def last(self) -> int:
        """How many messages the source is known to have sent."""
        return self.checkpoints[-1].count if self.checkpoints else self.consumed


class BeaconState:
    """Reads a state and remembers what it has read. Missing trie nodes raise CorruptData."""

    def __init__(self, trie: Trie) -> None:
        self._trie = trie
        self._shards: int | None = None
        self._tips: dict[ShardId, ShardTip] = {}
        self._lanes: dict[tuple[ShardId, ShardId], LaneState] = {}
        self._directory: dict[Address, ShardId | None] = {}
        self._committees: dict[bytes, Members] = {}

    @property
    def shards(self) -> int:
        """How many shards the network has."""
        if self._shards is None:
            self._shards = self._read(_SHARDS, lambda row: rlp.as_int(row[0], 16))
            if self._shards is None:
                raise CorruptData("beacon state: the number of shards is missing")
        return self._shards

    def tip(self, shard: ShardId) -> ShardTip:
        """Raises LookupError for a shard that the network does not have."""
        tip = self._tips.get(shard)
        if tip is None:
            tip = self._read(_tip_name(shard), _decode_tip)
            if tip is None:
                raise LookupError(f"there is no shard {shard}")
            self._tips[shard] = tip
        return tip

    def tips(self) -> dict[ShardId, ShardTip]:
        """All tips, by ascending shard."""
        return {ShardId(shard): self.tip(ShardId(shard)) for shard in range(self.shards)}

    def lane(self, src: ShardId, dst: ShardId) -> LaneState:
        lane = self._lanes.get((src, dst))
        if lane is None:
            lane = self._read(_lane_name(src, dst), _decode_lane) or LaneState()
            self._lanes[src, dst] = lane
        return lane

    def directory_entry(self, address: Address) -> ShardId | None:
        """Where an address lives that does not live in its range; None for all others."""
        try:
            return self._directory[address]
        except KeyError:
            pass
        entry = self._read(_home_name(address), lambda row: ShardId(rlp.as_int(row[0], 16)))
        if len(self._directory) >= MAX_REMEMBERED_HOMES:
            self._directory.clear()  # anyone may ask for any address
        self._directory[address] = entry
        return entry

    def home(self, address: Address) -> ShardId:
        """The shard where the account of `address` lives."""
        entry = self.directory_entry(address)
        return home_by_range(address, self.shards) if entry is None else entry

    def committee(self, shard: ShardId) -> Members:
        """Who decides the blocks of `shard`. Raises LookupError for one that the network does not have."""
        return self._members(_committee_name(shard))

    def beacon_committee(self) -> Members:
        return self._members(_BEACON_COMMITTEE)

    def trim(self) -> None:
        """Bound the decoded trie nodes in memory. Only for a state whose nodes are all in the store."""
        self._trie.trim()

    def _members(self, name: bytes) -> Members:
        members = self._committees.get(name)
        if members is None:
            members = self._read(name, _decode_members)
            if members is None:
                raise LookupError("there is no committee for that shard")
            self._committees[name] = members
        return members

    def _value(self, name: bytes) -> bytes:
        return self._trie.get(keccak_fast(name))

    def _read(self, name: bytes, decode: Callable[[list[rlp.Decoded]], _T]) -> _T | None:
        value = self._value(name)
        if not value:
            return None
        try:
            return decode(rlp.decode_list(value))
        except (DecodeError, IndexError) as error:
            raise CorruptData(f"beacon state: entry {name!r}: {error}") from None


class BeaconStateWriter(BeaconState):
    """Changes on top of a state. It reads its own changes; `base` stays as it is."""

    def __init__(self, base: BeaconState) -> None:
        super().__init__(base._trie)
        self._changes: dict[bytes, bytes] = {}

    def set_shards(self, count: int) -> None:
        self._set(_SHARDS, [rlp.int_to_bytes(count)])
        self._shards = count

    def set_tip(self, shard: ShardId, tip: ShardTip) -> None:
        anchor = rlp.encode_int(tip.anchor_height)
        self._changes[_tip_name(shard)] = rlp.encode_list(anchor + tip.header.encoded)
        self._tips[shard] = tip

    def set_lane(self, src: ShardId, dst: ShardId, lane: LaneState) -> None:
        checkpoints = [[rlp.int_to_bytes(c.count), c.head] for c in lane.checkpoints]
        self._set(_lane_name(src, dst), [rlp.int_to_bytes(lane.consumed), checkpoints])
        self._lanes[src, dst] = lane

    def set_home(self, address: Address, shard: ShardId) -> None:
        self._set(_home_name(address), [rlp.int_to_bytes(shard)])
        self._directory[address] = shard

    def set_committee(self, shard: ShardId, members: Iterable[tuple[Address, int]]) -> None:
        self._set_members(_committee_name(shard), members)

    def set_beacon_committee(self, members: Iterable[tuple[Address, int]]) -> None:
        self._set_members(_BEACON_COMMITTEE, members)

    def finish(self) -> tuple[Hash32, dict[bytes, bytes], BeaconState]:
        """The new root, the bodies of new trie nodes by hash, and the state they make."""
        trie = self._trie.copy()
        trie.update([(keccak_fast(name), value) for name, value in self._changes.items()])
        nodes: dict[bytes, bytes] = {}
        root = trie.commit(nodes)
        return root, nodes, BeaconState(trie)

    def _set_members(self, name: bytes, members: Iterable[tuple[Address, int]]) -> None:
        ordered = tuple(sorted(members))
        self._set(name, [[address, rlp.int_to_bytes(stake)] for address, stake in ordered])
        self._committees[name] = ordered

    def _set(self, name: bytes, row: rlp.Item) -> None:
        self._changes[name] = rlp.encode(row)

    def _value(self, name: bytes) -> bytes:
        changed = self._changes.get(name)
        return super()._value(name) if changed is None else changed


_SHARDS = b"shards"
_BEACON_COMMITTEE = b"committee"


def _tip_name(shard: ShardId) -> bytes:
    return b"tip" + shard.to_bytes(2, "big")


def _lane_name(src: ShardId, dst: ShardId) -> bytes:
    return b"lane" + src.to_bytes(2, "big") + dst.to_bytes(2, "big")


def _home_name(address: Address) -> bytes:
    return b"home" + address


def _committee_name(shard: ShardId) -> bytes:
    return b"committee" + shard.to_bytes(2, "big")


def _decode_tip(row: list[rlp.Decoded]) -> ShardTip:
    return ShardTip(anchor_height=rlp.as_int(row[0], 64), header=Header.from_items(row[1]))


def _decode_members(row: list[rlp.Decoded]) -> Members:
    pairs = [rlp.as_list(item, 2) for item in row]
    return tuple(
        (Address(rlp.as_bytes(address, 20)), rlp.as_int(stake)) for address, stake in pairs
    )


def _decode_lane(row: list[rlp.Decoded]) -> LaneState:
    pairs = [rlp.as_list(item, 2) for item in rlp.as_list(row[1])]
    return LaneState(
        consumed=rlp.as_int(row[0], 64),
        checkpoints=tuple(
            LanePosition(count=rlp.as_int(count, 64), head=Hash32(rlp.as_bytes(head, 32)))
            for count, head in pairs
        ),
    )
