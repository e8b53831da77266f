"""Calls that read accounts of several shards: run, fetch what they wanted with proofs, and run again.

A call runs on one shard. What that shard's node wants of others is asked of them at the heights that the
network block names, all shards at once, and held against the state roots that the beacon has.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from node.concurrency.gather import gather
from node.execution.state.account import EMPTY_ACCOUNT, decode_account, decode_slot
from node.execution.state.guests import Guest, Guests, Wanted
from node.execution.trie.errors import BadProof
from node.execution.trie.trie_proof import follow
from node.primitives.basics import EMPTY_CODE_HASH, Hash32, keccak_fast
from node.primitives.errors import CorruptData
from node.primitives.fields import U256, Word
from node.query.call_specs import CallOutcome, SpanningOutcome
from node.query.port import ProvenGuests
from node.query.questions import GuestsQuestion, SpanningCallQuestion
from node.view.calls import PlacedCall
from node.view.reads import StatePlace
from node.view.shards import Shards
from rpc.errors import LimitExceeded, ResourceUnavailable
from rpc.limits import SPAN, SpanLimits
from rpc.threads import FEW

Places = Callable[[bytes], Awaitable[StatePlace]]
"""Gives the place of an account's state at the network block of the call."""
_Outcome = tuple[CallOutcome, bytes | None]


async def call_over_shards(
    shards: Shards, placed: PlacedCall, block: int, places: Places, limits: SpanLimits = SPAN
) -> CallOutcome:
    """The outcome of a call at a network block.

    A call that could run `anywhere` and would have changed an account of another shard is tried on that one:
    quotes of some exchanges change a pool and take it back. Raises LimitExceeded for more than a call may read,
    ResourceUnavailable where a shard does not answer in time or lies.
    """
    outcome, changed = await _over_shards(shards, placed, block, places, limits)
    if placed.anywhere and changed is not None:
        place = await places(changed)
        there = replace(placed, shard=place.shard, height=place.height)
        outcome, _ = await _over_shards(shards, there, block, places, limits)
    return outcome


async def _over_shards(
    shards: Shards, placed: PlacedCall, block: int, places: Places, limits: SpanLimits
) -> _Outcome:
    question = _question(placed, block, Guests())
    first = await shards.ask(placed.shard, question)
    if first.outcome is not None:
        return first.outcome, first.changed
    waits_for = {placed.shard}
    try:
        with trio.fail_after(limits.seconds):
            return await _rounds(shards, placed, block, places, limits, waits_for, first)
    except trio.TooSlowError:
        late = " and ".join(f"shard {shard}" for shard in sorted(waits_for))
        raise ResourceUnavailable(
            f"the call reads accounts of other shards and took more than {limits.seconds:g} s; "
            f"it was waiting for {late}"
        ) from None


async def _rounds(
    shards: Shards,
    placed: PlacedCall,
    block: int,
    places: Places,
    limits: SpanLimits,
    waits_for: set[int],
    answer: SpanningOutcome,
) -> _Outcome:
    """`waits_for` holds the shards whose answers are missing, `answer` is the first one of the shard that runs
    the call.
    """
    table, here = _GuestTable(limits), placed.shard
    for _ in range(limits.rounds - 1):
        wanted = await _by_place(here, table.unknown(here, answer.wanted), places)
        waits_for.remove(here)
        waits_for |= {place.shard for place in wanted}
        await gather(
            [
                partial(_fetch, shards, place, accounts, table, waits_for)
                for place, accounts in wanted.items()
            ]
        )
        waits_for.add(here)
        answer = await shards.ask(here, _question(placed, block, table.guests()))
        if answer.outcome is not None:
            return answer.outcome, answer.changed
    raise LimitExceeded(
        f"the call reads accounts of other shards one after the other: more than {limits.rounds} "
        "rounds of fetching them"
    )


def _question(placed: PlacedCall, block: int, guests: Guests) -> SpanningCallQuestion:
    return SpanningCallQuestion(height=placed.height, spec=placed.call, beacon=block, guests=guests)


async def _by_place(
    here: int, wanted: Sequence[Wanted], places: Places
) -> Mapping[StatePlace, list[Wanted]]:
    by_place: dict[StatePlace, list[Wanted]] = defaultdict(list)
    for number, each in enumerate(wanted):
        place = await places(each.address)
        if place.shard == here:
            raise ResourceUnavailable(
                f"shard {here} is unavailable: it asked for what it has itself"
            )
        by_place[place].append(each)
        if number % FEW == FEW - 1:
            await trio.lowlevel.checkpoint()
    return by_place


async def _fetch(
    shards: Shards,
    place: StatePlace,
    wanted: list[Wanted],
    table: "_GuestTable",
    waits_for: set[int],
) -> None:
    proven = await shards.ask(place.shard, GuestsQuestion(height=place.height, wanted=wanted))
    found = await shards.aside.run(partial(_checked, place, wanted, proven))
    table.add(*found)
    waits_for.discard(place.shard)


def _checked(
    place: StatePlace, wanted: list[Wanted], proven: ProvenGuests
) -> tuple[list[Guest], dict[bytes, bytes]]:
    """The guests, and the codes of those whose codes were wanted, by hash. Raises ResourceUnavailable."""
    nodes = {keccak_fast(body): body for body in proven.nodes}
    codes = {keccak_fast(code): code for code in proven.codes}
    used: dict[bytes, bytes] = {}
    try:
        guests = [_guest(place.root, each, nodes) for each in wanted]
        for each, guest in zip(wanted, guests, strict=True):
            if each.code and guest.code_hash != EMPTY_CODE_HASH:
                used[guest.code_hash] = codes[guest.code_hash]
    except (BadProof, CorruptData) as error:
        raise ResourceUnavailable(f"shard {place.shard} is unavailable: {error}") from None
    except KeyError:
        raise ResourceUnavailable(
            f"shard {place.shard} is unavailable: it did not give the code that it proved"
        ) from None
    return guests, used


def _guest(root: bytes, wanted: Wanted, nodes: Mapping[bytes, bytes]) -> Guest:
    """Raises BadProof, CorruptData."""

    def body(key: bytes) -> bytes:
        return nodes.get(key, b"")

    value = follow(root, keccak_fast(wanted.address), body)
    account = decode_account(value) if value else EMPTY_ACCOUNT
    slots = []
    for slot in wanted.slots:
        key = keccak_fast(slot.to_bytes(32, "big"))
        slots.append((slot, Word(decode_slot(follow(account.storage_root, key, body)))))
    return Guest(
        address=wanted.address,
        nonce=account.nonce,
        balance=U256(account.balance),
        storage_root=Hash32(account.storage_root),
        code_hash=Hash32(account.code_hash),
        slots=tuple(slots),
    )


@dataclass(slots=True)
class _GuestTable:
    """The accounts of other shards as far as they are known, within limits."""

    limits: SpanLimits
    _guests: dict[bytes, Guest] = field(default_factory=dict)
    _slots: dict[bytes, dict[Word, Word]] = field(default_factory=dict)
    _codes: dict[bytes, bytes] = field(default_factory=dict)

    def guests(self) -> Guests:
        return Guests(accounts=tuple(self._guests.values()), codes=tuple(self._codes.values()))

    def unknown(self, here: int, wanted: Sequence[Wanted]) -> list[Wanted]:
        """`wanted`, if all of it is news and within the limits. Raises LimitExceeded, ResourceUnavailable."""
        if not wanted or not all(map(self._is_news, wanted)):
            raise ResourceUnavailable(
                f"shard {here} is unavailable: it asked for what it was given"
            )
        accounts = len(self._guests.keys() | {each.address for each in wanted})
        slots = sum(map(len, self._slots.values())) + sum(len(each.slots) for each in wanted)
        self._hold(accounts, self.limits.accounts, "accounts")
        self._hold(slots, self.limits.slots, "slots")
        return list(wanted)

    def _is_news(self, wanted: Wanted) -> bool:
        guest = self._guests.get(wanted.address)
        if guest is None:
            return True
        known = self._slots.get(wanted.address, {})
        code = wanted.code and guest.code_hash not in self._codes
        return code or any(slot not in known for slot in wanted.slots)

    def add(self, guests: Sequence[Guest], codes: Mapping[bytes, bytes]) -> None:
        """Raises LimitExceeded."""
        self._codes |= codes
        size = sum(map(len, self._codes.values()))
        self._hold(size, self.limits.code_size, "bytes of code")
        for guest in guests:
            slots = self._slots.setdefault(guest.address, {})
            slots.update(guest.slots)
            self._guests[guest.address] = replace(guest, slots=tuple(slots.items()))

    def _hold(self, number: int, most: int, what: str) -> None:
        if number > most:
            raise LimitExceeded(f"the call needs more than {most} {what} of other shards")
