"""The beacon state: a typed view of a Merkle-Patricia trie (docs/protocol.md, "Beacon chain").

Every entry is one leaf under the keccak256 of its name, its value an RLP list:

    shards                          [count]
    tip       || shard              [anchor height, header]            the last crosslinked header
    lane      || src || dst         [consumed, gas consumed, wei consumed, asked consumed, wei sent,
                                    [[count, head, gas, wei, asked], ...]]    absent: nothing was ever sent
    supply    || shard              [wei, issued, burned]              what the shard holds by the books
    home      || address            [shard]                            absent: home by range
    validators                      [address, ...]                     ascending
    validator || address            [stake, slashed, jailed at, shard, beacon]
    committee || shard              [known from, [[address, power, since, until], ...]]
    committee                       the same for the beacon
    terms     || shard              [[shard height, anchor height], ...]
    slashings                       [[address, opened at, base, charged, [[chain, height], ...]], ...]
    slashed                         [wei]
    frozen    || shard              [frozen at, shard height, block, block]   absent: it is not

Shard ids are 2 bytes in names. What the values mean is said where they are declared: here and in
node.beacon.validators.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from node.beacon.validators import (
    BEACON_CHAIN,
    FrozenShard,
    Members,
    Roster,
    Slashing,
    Term,
    ValidatorRecord,
)
from node.execution.evm.fees import next_base_fee
from node.execution.trie.trie import Trie
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId, keccak_fast
from node.primitives.decoding import decoding
from node.primitives.errors import CorruptData
from node.primitives.header import Header
from node.primitives.message import LanePosition
from node.primitives.placement import home_by_range
from node.primitives.requests import GAS_BITS, WEI_BITS, Counters, counters_of, counters_row

_T = TypeVar("_T")

MAX_REMEMBERED_HOMES = 1 << 16
MAX_REMEMBERED_LANES = 4096  # that are copied from block to block


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
    """A lane as the beacon knows it: `consumed` messages, and finalised positions beyond these.

    The two shards report gas, wei, and how many messages were asked for (`Message.is_asked`), each for its own
    end: `consumed_...` by the destination, the values of a checkpoint and `sent_wei` by the source. The beacon
    compares counts and wei: no more is consumed than was sent.
    """

    consumed: int = 0
    consumed_gas: int = 0
    consumed_wei: int = 0
    consumed_asked: int = 0
    sent_wei: int = 0
    checkpoints: tuple[LanePosition, ...] = ()

    @property
    def last(self) -> int:
        """The number of messages that the source is known to have sent."""
        return self.checkpoints[-1].count if self.checkpoints else self.consumed


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyState:
    """The wei that a shard holds by the books, and its counters as it told them last.

    wei = genesis + received - sent + issued - burned
    """

    wei: int
    counters: Counters = field(default_factory=Counters)


class BeaconState:
    """Reads a state and remembers what it has read. Missing trie nodes raise CorruptData."""

    def __init__(self, trie: Trie) -> None:
        self._trie = trie
        self._shards: int | None = None
        self._tips: dict[ShardId, ShardTip] = {}
        self._lanes: dict[tuple[ShardId, ShardId], LaneState] = {}
        self._supplies: dict[ShardId, SupplyState] = {}
        self._directory: dict[Address, ShardId | None] = {}
        self._rosters: dict[int, Roster] = {}
        self._terms: dict[ShardId, tuple[Term, ...]] = {}
        self._freezes: dict[ShardId, FrozenShard | None] = {}

    def _remember(self, other: "BeaconState") -> None:
        """Take over the decoded values of `other`, a state with the same content; else every block decodes all
        of it again.
        """
        self._shards = other._shards
        self._tips = dict(other._tips)
        self._supplies = dict(other._supplies)
        self._rosters = dict(other._rosters)
        self._terms = dict(other._terms)
        self._freezes = dict(other._freezes)
        if len(other._lanes) <= MAX_REMEMBERED_LANES:
            self._lanes = dict(other._lanes)

    @property
    def shards(self) -> int:
        """The number of shards."""
        if self._shards is None:
            self._shards = self._read(_SHARDS, lambda row: rlp.as_int(row[0], 16))
            if self._shards is None:
                raise CorruptData("beacon state: the number of shards is missing")
        return self._shards

    def tip(self, shard: ShardId) -> ShardTip:
        """Raises LookupError for a shard that the network does not have."""
        return self._of_shard(self._tips, _TIP, shard, _decode_tip)

    def base_fee(self, shard: ShardId) -> int:
        """The base fee in wei of the block after the tip. Raises LookupError."""
        return next_base_fee(self.tip(shard).header)

    def tips(self) -> dict[ShardId, ShardTip]:
        """All tips, by ascending shard."""
        return {ShardId(shard): self.tip(ShardId(shard)) for shard in range(self.shards)}

    def lane(self, src: ShardId, dst: ShardId) -> LaneState:
        lane = self._lanes.get((src, dst))
        if lane is None:
            lane = self._read(_name(_LANE, src, dst), _decode_lane) or LaneState()
            self._lanes[src, dst] = lane
        return lane

    def supply(self, shard: ShardId) -> SupplyState:
        """Raises LookupError for a shard that the network does not have."""
        return self._of_shard(self._supplies, _SUPPLY, shard, _decode_supply)

    def directory_entry(self, address: Address) -> ShardId | None:
        """The home of an address that lives outside of its range; None for all others."""
        try:
            return self._directory[address]
        except KeyError:
            pass
        entry = self._read(_HOME + address, lambda row: ShardId(rlp.as_int(row[0], 16)))
        if len(self._directory) >= MAX_REMEMBERED_HOMES:
            self._directory.clear()  # the cache is bounded: a caller may ask for any address
        self._directory[address] = entry
        return entry

    def home(self, address: Address) -> ShardId:
        """The shard where the account of `address` lives."""
        entry = self.directory_entry(address)
        return home_by_range(address, self.shards) if entry is None else entry

    # ------------------------------------------------------------------ validators

    def validator(self, address: Address) -> ValidatorRecord | None:
        """The record of a consensus key; None if the network has no such validator."""
        return self._read(_VALIDATOR + address, lambda row: ValidatorRecord.from_row(address, row))

    def validators(self) -> tuple[ValidatorRecord, ...]:
        """All records by ascending address, jailed or not. Reads one leaf for each."""
        addresses = self._read(
            _VALIDATORS, lambda row: [Address(rlp.as_bytes(item, 20)) for item in row]
        )
        records = [self.validator(address) for address in addresses or ()]
        if None in records:
            raise CorruptData("beacon state: the record of a validator is missing")
        return tuple(record for record in records if record is not None)

    def committee(self, shard: ShardId, at_height: int | None = None) -> Members:
        """The committee of the blocks of `shard` whose parents are anchored at beacon height `at_height`.

        None stands for the height of this state. For others this state must be the newer one. Raises
        LookupError for a shard that the network does not have, and for heights before
        `roster(shard).known_from`.
        """
        return self.roster(shard).members(at_height)

    def beacon_committee(self, at_height: int | None = None) -> Members:
        """The committee of beacon block `at_height` + 1; without a height, of the block after this state's."""
        return self.roster(BEACON_CHAIN).members(at_height)

    def roster(self, chain: int) -> Roster:
        """The seats of a committee: a shard's, or that of BEACON_CHAIN. Raises LookupError."""
        roster = self._rosters.get(chain)
        if roster is None:
            roster = self._read(_roster_name(chain), Roster.from_row)
            if roster is None:
                raise LookupError("there is no committee for that shard")
            self._rosters[chain] = roster
        return roster

    def terms(self, shard: ShardId) -> tuple[Term, ...]:
        """The committees of the heights of `shard`; the last term holds for the tip's successor."""
        return self._of_shard(self._terms, _TERMS, shard, _decode_terms)

    def slashings(self) -> tuple[Slashing, ...]:
        """Penalties that can still grow or be asked for again, by (opened at, address)."""
        decoded = self._read(
            _SLASHINGS, lambda rows: tuple(Slashing.from_row(rlp.as_list(row, 5)) for row in rows)
        )
        return decoded or ()

    @property
    def slashed_total(self) -> int:
        """The sum taken of all stakes since the genesis, in wei."""
        return self._read(_SLASHED, lambda row: rlp.as_int(row[0])) or 0

    def frozen(self, shard: ShardId) -> FrozenShard | None:
        """The reason why no block of `shard` is included any more; None if the shard is not frozen."""
        if shard not in self._freezes:
            self._freezes[shard] = self._read(_name(_FROZEN, shard), FrozenShard.from_row)
        return self._freezes[shard]

    def is_frozen(self, shard: ShardId) -> bool:
        return self.frozen(shard) is not None

    # ------------------------------------------------------------------ inside

    def _of_shard(
        self,
        known: dict[ShardId, _T],
        name: bytes,
        shard: ShardId,
        decode: Callable[[list[rlp.Decoded]], _T],
    ) -> _T:
        """An entry that every shard has, remembered in `known`."""
        found = known.get(shard)
        if found is None:
            found = self._read(_name(name, shard), decode)
            if found is None:
                raise LookupError(f"there is no shard {shard}")
            known[shard] = found
        return found

    def written(self) -> None:
        """All nodes of this state are in the store, so drop our copies of the new ones."""
        self._trie.written()

    def _value(self, name: bytes) -> bytes:
        return self._trie.get(keccak_fast(name))

    def _read(self, name: bytes, decode: Callable[[list[rlp.Decoded]], _T]) -> _T | None:
        value = self._value(name)
        if not value:
            return None
        with decoding(f"beacon state: entry {name!r}", CorruptData):
            return decode(rlp.decode_list(value))


class BeaconStateWriter(BeaconState):
    """Changes on top of a state. It reads its own changes; `base` stays as it is."""

    def __init__(self, base: BeaconState) -> None:
        super().__init__(base._trie)
        self._remember(base)
        self._changes: dict[bytes, bytes] = {}
        self.births: list[tuple[Address, ShardId]] = []
        """The addresses that were placed outside of their range, in order."""
        self._homes = base._directory  # of the base, which are ours unless some are set

    def set_shards(self, count: int) -> None:
        self._set(_SHARDS, [rlp.int_to_bytes(count)])
        self._shards = count

    def set_tip(self, shard: ShardId, tip: ShardTip) -> None:
        anchor = rlp.encode_int(tip.anchor_height)
        self._changes[_name(_TIP, shard)] = rlp.encode_list(anchor + tip.header.encoded)
        self._tips[shard] = tip

    def set_lane(self, src: ShardId, dst: ShardId, lane: LaneState) -> None:
        number = rlp.int_to_bytes
        checkpoints = [
            [number(c.count), c.head, *map(number, (c.gas, c.wei, c.asked))]
            for c in lane.checkpoints
        ]
        consumed = lane.consumed, lane.consumed_gas, lane.consumed_wei, lane.consumed_asked
        numbers = [number(n) for n in (*consumed, lane.sent_wei)]
        self._set(_name(_LANE, src, dst), [*numbers, checkpoints])
        self._lanes[src, dst] = lane

    def set_supply(self, shard: ShardId, supply: SupplyState) -> None:
        row = [rlp.int_to_bytes(supply.wei), *counters_row(supply.counters)]
        self._set(_name(_SUPPLY, shard), row)
        self._supplies[shard] = supply

    def set_home(self, address: Address, shard: ShardId) -> None:
        self._set(_HOME + address, [rlp.int_to_bytes(shard)])
        self._directory[address] = shard
        self.births.append((address, shard))

    def set_validators(self, records: Iterable[ValidatorRecord]) -> None:
        """Set all records, at the genesis."""
        ordered = sorted(records, key=lambda record: record.address)
        self._set(_VALIDATORS, [record.address for record in ordered])
        for record in ordered:
            self.set_validator(record)

    def set_validator(self, record: ValidatorRecord) -> None:
        self._set(_VALIDATOR + record.address, record.row())

    def set_roster(self, chain: int, roster: Roster) -> None:
        self._set(_roster_name(chain), roster.row())
        self._rosters[chain] = roster

    def set_terms(self, shard: ShardId, terms: tuple[Term, ...]) -> None:
        rows = [[rlp.int_to_bytes(t.first), rlp.int_to_bytes(t.anchor)] for t in terms]
        self._set(_name(_TERMS, shard), rows)
        self._terms[shard] = terms

    def set_slashings(self, slashings: Iterable[Slashing]) -> None:
        ordered = sorted(slashings, key=lambda s: (s.opened_at, s.address))
        self._set(_SLASHINGS, [slashing.row() for slashing in ordered])

    def add_slashed(self, wei: int) -> None:
        self._set(_SLASHED, [rlp.int_to_bytes(self.slashed_total + wei)])

    def freeze(self, shard: ShardId, freeze: FrozenShard) -> None:
        self._set(_name(_FROZEN, shard), freeze.row())
        self._freezes[shard] = freeze

    def finish(self) -> tuple[Hash32, dict[bytes, bytes], BeaconState]:
        """The new root, the bodies of new trie nodes by hash, and the state they make."""
        trie = self._trie.copy()
        trie.update([(keccak_fast(name), value) for name, value in self._changes.items()])
        nodes: dict[bytes, bytes] = {}
        root = trie.commit(nodes)
        after = BeaconState(trie)
        after._remember(self)
        if not self.births:
            after._directory = self._homes  # one memory for both: no address has another home
        return root, nodes, after

    def _set(self, name: bytes, row: Sequence[rlp.Item]) -> None:
        self._changes[name] = rlp.encode(row)

    def _value(self, name: bytes) -> bytes:
        changed = self._changes.get(name)
        return super()._value(name) if changed is None else changed


_SHARDS, _TIP, _LANE, _SUPPLY, _HOME = b"shards", b"tip", b"lane", b"supply", b"home"
_VALIDATORS, _VALIDATOR, _COMMITTEE, _TERMS = b"validators", b"validator", b"committee", b"terms"
_SLASHINGS, _SLASHED, _FROZEN = b"slashings", b"slashed", b"frozen"


def _name(name: bytes, *shards: int) -> bytes:
    return name + b"".join([shard.to_bytes(2, "big") for shard in shards])


def _roster_name(chain: int) -> bytes:
    return _COMMITTEE if chain == BEACON_CHAIN else _name(_COMMITTEE, chain)


def _decode_tip(row: list[rlp.Decoded]) -> ShardTip:
    return ShardTip(anchor_height=rlp.as_int(row[0], 64), header=Header.from_items(row[1]))


def _decode_terms(rows: list[rlp.Decoded]) -> tuple[Term, ...]:
    pairs = [rlp.as_list(row, 2) for row in rows]
    return tuple(
        Term(first=rlp.as_int(first, 64), anchor=rlp.as_int(anchor, 64)) for first, anchor in pairs
    )


def _decode_supply(row: list[rlp.Decoded]) -> SupplyState:
    return SupplyState(wei=rlp.as_int(row[0], WEI_BITS), counters=counters_of(row[1], row[2]))


def _decode_lane(row: list[rlp.Decoded]) -> LaneState:
    rows = [rlp.as_list(item, 5) for item in rlp.as_list(row[5])]
    return LaneState(
        consumed=rlp.as_int(row[0], 64),
        consumed_gas=rlp.as_int(row[1], GAS_BITS),
        consumed_wei=rlp.as_int(row[2], WEI_BITS),
        consumed_asked=rlp.as_int(row[3], 64),
        sent_wei=rlp.as_int(row[4], WEI_BITS),
        checkpoints=tuple(
            LanePosition(
                count=rlp.as_int(count, 64),
                head=Hash32(rlp.as_bytes(head, 32)),
                gas=rlp.as_int(gas, GAS_BITS),
                wei=rlp.as_int(wei, WEI_BITS),
                asked=rlp.as_int(asked, 64),
            )
            for count, head, gas, wei, asked in rows
        ),
    )
