"""Validators, their seats and their penalties, as the beacon state holds them. Values and their rows.

A committee is a row of *seats*. A seat is never changed, only ended, so one leaf of the state gives
the members of a committee as of any beacon height that still matters. That is needed because a shard block
is decided by the committee as of its parent's anchor, which can be an old one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId

BEACON_CHAIN: Final = 0xFFFF_FFFF
"""The beacon where a chain is named by a number; a shard is named by its id."""

Members: TypeAlias = tuple[tuple[Address, int], ...]
"""A committee at one height: (consensus address, voting power in wei) by ascending address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorRecord:
    """A validator of the network. Stakes in wei.

    `stake` is what is left of what it had, `slashed` what was taken; `shard` is where it is at home
    and decides blocks, `beacon` whether it is a beacon validator as well. `jailed_at` is the beacon
    height at which it was punished first: from that state on it has no seat, unless it is the last of
    its committee (see `Roster.without`).
    """

    address: Address
    stake: int
    slashed: int = 0
    jailed_at: int | None = None
    shard: ShardId
    beacon: bool

    @property
    def staked(self) -> int:
        """The stake before anything was taken, in wei."""
        return self.stake + self.slashed

    @property
    def chains(self) -> tuple[int, ...]:
        """The chains that the validator was given to decide, jailed or not: its shard, and perhaps
        BEACON_CHAIN.
        """
        return (self.shard, BEACON_CHAIN) if self.beacon else (self.shard,)

    def row(self) -> list[rlp.Item]:
        numbers = (self.stake, self.slashed, self.jailed_at or 0, self.shard, int(self.beacon))
        return [rlp.int_to_bytes(number) for number in numbers]

    @classmethod
    def from_row(cls, address: Address, row: list[rlp.Decoded]) -> "ValidatorRecord":
        stake, slashed, jailed_at, shard, beacon = row
        return cls(
            address=address,
            stake=rlp.as_int(stake),
            slashed=rlp.as_int(slashed),
            jailed_at=rlp.as_int(jailed_at, 64) or None,
            shard=ShardId(rlp.as_int(shard, 16)),
            beacon=bool(rlp.as_int(beacon, 8)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A place in a committee, from the beacon state at `since` on, up to but not in that at `until`.

    `power` is the stake with which it was taken. It does not follow the stake: a slashed validator loses the
    seat in the same block.
    """

    address: Address
    power: int
    since: int = 0
    until: int | None = None

    def is_taken(self, height: int | None) -> bool:
        """True if the seat is taken as of the beacon state at `height`; None is the newest."""
        if height is None:
            return self.until is None
        return self.since <= height and (self.until is None or height < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The seats of one committee by (address, since), complete from beacon height `known_from` on."""

    seats: tuple[Seat, ...]
    known_from: int = 0

    @classmethod
    def of(cls, members: Iterable[tuple[Address, int]]) -> "Roster":
        """A committee that sits from the genesis on."""
        return cls(seats=tuple(Seat(address=a, power=p) for a, p in sorted(members)))

    def members(self, height: int | None = None) -> Members:
        """The committee as of the beacon state at `height`; None is the newest.

        Raises LookupError for a height whose seats are forgotten.
        """
        if height is not None and height < self.known_from:
            raise LookupError(f"committees are known from beacon height {self.known_from} on")
        return tuple((s.address, s.power) for s in self.seats if s.is_taken(height))

    def without(self, address: Address, height: int) -> "Roster":
        """The same, the seat of `address` ended from the beacon state at `height` on.

        The last one keeps its seat. Without it no block of the chain could be decided any more: a shard's
        accounts would be lost to their owners, and a beacon would end the network. Keeping it gives nothing
        away: with all others proven faulty, the chain was theirs before, and in a committee of one the
        operator chose to trust that one. It is slashed all the same.
        """
        taken = [seat for seat in self.seats if seat.until is None]
        if len(taken) == 1 or all(seat.address != address for seat in taken):
            return self
        return replace(
            self,
            seats=tuple(
                replace(seat, until=height)
                if seat.address == address and seat.until is None
                else seat
                for seat in self.seats
            ),
        )

    def pruned(self, height: int) -> "Roster":
        """The same, without the seats that ended at or before beacon height `height`."""
        if height <= self.known_from:
            return self
        left = tuple(s for s in self.seats if s.until is None or s.until > height)
        return Roster(seats=left, known_from=height)

    def sets_since(self, height: int) -> tuple[Members, ...]:
        """Every committee from the beacon state at `height` on, oldest first, each once."""
        start = max(height, self.known_from)
        ends = {s.until for s in self.seats if s.until is not None and s.until > start}
        begins = {s.since for s in self.seats if s.since > start}
        sets = [self.members(at) for at in sorted({start, *ends, *begins})]
        return tuple(dict.fromkeys(sets))

    def row(self) -> list[rlp.Item]:
        seats = [
            [s.address, *map(rlp.int_to_bytes, (s.power, s.since, s.until or 0))]
            for s in self.seats
        ]
        return [rlp.int_to_bytes(self.known_from), seats]

    @classmethod
    def from_row(cls, row: list[rlp.Decoded]) -> "Roster":
        known_from, seats = row
        rows = [rlp.as_list(seat, 4) for seat in rlp.as_list(seats)]
        return cls(
            known_from=rlp.as_int(known_from, 64),
            seats=tuple(
                Seat(
                    address=Address(rlp.as_bytes(address, 20)),
                    power=rlp.as_int(power),
                    since=rlp.as_int(since, 64),
                    until=rlp.as_int(until, 64) or None,
                )
                for address, power, since, until in rows
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """From shard height `first` on, blocks are decided by the committee as of beacon height `anchor`."""

    first: int
    anchor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slashing:
    """The punishment of a key: its offences and charges. One per key and window.

    `opened_at` is the beacon height of the first offence's inclusion, `base` the stake that the key
    had then, `charged` what was taken of it since, in wei. `offences` are (chain, height of that
    chain), each of them once.
    """

    address: Address
    opened_at: int
    base: int
    charged: int = 0
    offences: tuple[tuple[int, int], ...]

    def row(self) -> list[rlp.Item]:
        numbers = (self.opened_at, self.base, self.charged)
        offences = [list(map(rlp.int_to_bytes, offence)) for offence in self.offences]
        return [self.address, *map(rlp.int_to_bytes, numbers), offences]

    @classmethod
    def from_row(cls, row: list[rlp.Decoded]) -> "Slashing":
        address, opened_at, base, charged, offences = row
        places = [rlp.as_list(offence, 2) for offence in rlp.as_list(offences)]
        return cls(
            address=Address(rlp.as_bytes(address, 20)),
            opened_at=rlp.as_int(opened_at, 64),
            base=rlp.as_int(base),
            charged=rlp.as_int(charged),
            offences=tuple((rlp.as_int(c, 32), rlp.as_int(h, 64)) for c, h in places),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenShard:
    """A shard was proven to have forked: at `height`, into `blocks`; by beacon block `frozen_at`."""

    frozen_at: int
    height: int
    blocks: tuple[Hash32, Hash32]

    def row(self) -> list[rlp.Item]:
        return [rlp.int_to_bytes(self.frozen_at), rlp.int_to_bytes(self.height), *self.blocks]

    @classmethod
    def from_row(cls, row: list[rlp.Decoded]) -> "FrozenShard":
        frozen_at, height, first, second = row
        return cls(
            frozen_at=rlp.as_int(frozen_at, 64),
            height=rlp.as_int(height, 64),
            blocks=(Hash32(rlp.as_bytes(first, 32)), Hash32(rlp.as_bytes(second, 32))),
        )
