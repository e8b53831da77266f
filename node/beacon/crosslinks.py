"""The rules of a crosslink, and its effects on the beacon state. Pure.

The beacon checks everything that it can know without running the shard: that the committee decided the header,
that it follows the tip, and that lanes and births stay consistent between shards. The shard's committee vouches
for the effects of its transactions, and for its own accounts only. The beacon includes every block that the
shard's judges pass: changes on other shards meanwhile are no reason to refuse a decided block.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from node.beacon.block import BeaconHeader
from node.beacon.committees import check_any, follow_tip, sets_from_tip
from node.beacon.rules import BeaconRules, check_certificate
from node.beacon.state import BeaconState, BeaconStateWriter, LaneState, ShardTip, SupplyState
from node.beacon.validators import Members
from node.execution.evm.fees import next_base_fee
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.births import Birth
from node.primitives.crosslink import Crosslink
from node.primitives.errors import InvalidBlock
from node.primitives.header import Header
from node.primitives.message import LanePosition
from node.primitives.predeploys import PREDEPLOYS
from node.primitives.requests import WEI_BITS, InboxMove, OutboxMove, ShardRequests

MAX_CHECKPOINTS = 256
"""The limit per lane. A lane whose destination is down drops every second checkpoint when it reaches this,
unless that would leave a gap of more than MAX_GAP.
"""
MAX_GAP = 8000
"""Messages from one checkpoint to the next. A block that stops between two has to bring the hashes up to
the next one, at most 15,000 in all (node.shard.lanes.MAX_TAIL_HASHES): with wider gaps it could not."""

AnchorHeight = Callable[[Hash32], int | None]
"""The height of a finalised beacon block by its hash; None for any other hash."""


def check_crosslink(rules: BeaconRules, state: BeaconState, crosslink: Crosslink) -> None:
    """Check a crosslink on arrival, whatever was crosslinked before.

    Raises InvalidBlock: no such shard, a frozen one, requests that the header does not commit to, or a
    certificate that does not prove that the shard's committee decided this header.

    For the height after the tip the committee is known. For later heights any possible committee will do here;
    the right one is known when the tip gets there (see `is_decided`). Certificates of heights that the beacon
    has passed are not checked: nothing depends on them.
    """
    shard, header = crosslink.shard, crosslink.header
    where = _check_form(rules, crosslink)
    if state.frozen(shard) is not None:
        raise InvalidBlock(f"{where}: the shard is frozen")
    tip = state.tip(shard)
    if header.number <= tip.height:
        return
    sets = sets_from_tip(state, shard)
    possible = sets if header.number > tip.height + 1 else sets[:1]
    check_any(possible, lambda members: _check_decided(rules, members, crosslink))


def is_decided(rules: BeaconRules, state: BeaconState, crosslink: Crosslink) -> bool:
    """True if a crosslink of the height after the tip has the certificate of that height's committee.

    The answer never changes. A crosslink that passed `check_crosslink` and is not decided must not wait any
    longer.
    """
    shard = crosslink.shard
    members = state.committee(shard, state.tip(shard).anchor_height)
    try:
        _check_decided(rules, members, crosslink)
    except InvalidBlock:
        return False
    return True


def apply_crosslink(
    rules: BeaconRules,
    parent: BeaconHeader,
    writer: BeaconStateWriter,
    crosslink: Crosslink,
    anchor_height_of: AnchorHeight,
) -> None:
    """Apply a crosslink. Raises InvalidBlock before anything is changed: all is checked before anything
    is set.
    """
    shard, header = crosslink.shard, crosslink.header
    where = _check_form(rules, crosslink)
    if writer.frozen(shard) is not None:
        raise InvalidBlock(f"{where}: the shard is frozen")
    tip = writer.tip(shard)
    if header.number != tip.height + 1:
        raise InvalidBlock(f"{where}: does not follow the tip at {tip.height}")
    if header.parent_hash != tip.hash:
        raise InvalidBlock(f"{where}: the parent is not the tip")
    _check_gas(tip.header, header, where)
    anchor = anchor_height_of(header.parent_beacon_block_root)
    if anchor is None or anchor > parent.height:
        raise InvalidBlock(f"{where}: the anchor is not a finalised beacon block")
    if anchor < tip.anchor_height:
        raise InvalidBlock(
            f"{where}: the anchor {anchor} is before its parent's, {tip.anchor_height}"
        )
    _check_decided(rules, writer.committee(shard, tip.anchor_height), crosslink)
    requests = crosslink.requests
    sent = [_sent(rules, writer, shard, move, where) for move in requests.outbox]
    consumed = [_consumed(rules, writer, shard, move, where) for move in requests.inbox]
    supply = _supply(rules, writer, shard, requests, where)
    born = _born(writer, shard, requests.births)
    writer.set_tip(shard, ShardTip(anchor_height=anchor, header=header))
    if supply != writer.supply(shard):
        writer.set_supply(shard, supply)
    for dst, lane in sent:
        writer.set_lane(shard, dst, lane)
    for src, lane in consumed:
        writer.set_lane(src, shard, lane)
    for address, home in born.items():
        writer.set_home(address, home)
    follow_tip(writer, shard)


def _check_form(rules: BeaconRules, crosslink: Crosslink) -> str:
    """Check the rules that hold in every state. Returns the name of the crosslink for errors."""
    where = f"crosslink {crosslink.shard}/{crosslink.height}"
    if not 0 <= crosslink.shard < rules.shards:
        raise InvalidBlock(f"{where}: there is no such shard")
    if crosslink.requests.hash != crosslink.header.requests_hash:
        raise InvalidBlock(f"{where}: the requests are not those of the header")
    return where


def _check_gas(parent: Header, header: Header, where: str) -> None:
    """Check the base fee and the time. The shard does not choose its gas price: it follows from the headers
    (EIP-1559), and other shards buy gas at that price. Time does not go back.
    """
    if header.gas_limit != parent.gas_limit:
        raise InvalidBlock(f"{where}: the gas limit is {header.gas_limit}, not {parent.gas_limit}")
    if header.gas_used > header.gas_limit:
        raise InvalidBlock(f"{where}: {header.gas_used} gas of {header.gas_limit} is used")
    if header.base_fee_per_gas != (base_fee := next_base_fee(parent)):
        raise InvalidBlock(f"{where}: the base fee is {header.base_fee_per_gas}, not {base_fee}")
    if header.timestamp < parent.timestamp:
        raise InvalidBlock(f"{where}: the timestamp is before the parent's")


def _check_decided(rules: BeaconRules, members: Members, crosslink: Crosslink) -> None:
    check_certificate(
        rules.shard_context(crosslink.shard),
        members,
        crosslink.certificate,
        height=crosslink.height,
        block_hash=crosslink.header.hash,
        checker=rules.checker,
        where=f"crosslink {crosslink.shard}/{crosslink.height}",
    )


def _sent(
    rules: BeaconRules, state: BeaconState, shard: ShardId, move: OutboxMove, where: str
) -> tuple[ShardId, LaneState]:
    if not 0 <= move.dst < rules.shards or move.dst == shard:
        raise InvalidBlock(f"{where}: sends to {move.dst}, which is no other shard")
    lane = state.lane(shard, move.dst)
    if move.count <= lane.last:
        raise InvalidBlock(
            f"{where}: the outbox to {move.dst} goes from {lane.last} to {move.count}"
        )
    if move.wei < lane.sent_wei:
        raise InvalidBlock(
            f"{where}: the wei of the outbox to {move.dst} go from {lane.sent_wei} to {move.wei}"
        )
    if move.asked > move.count or (lane.checkpoints and move.asked < lane.checkpoints[-1].asked):
        raise InvalidBlock(
            f"{where}: {move.asked} of {move.count} messages of the outbox to {move.dst} were asked for"
        )
    position = LanePosition(
        count=move.count, head=move.head, gas=move.gas, wei=move.wei, asked=move.asked
    )
    checkpoints = (*lane.checkpoints, position)
    if len(checkpoints) >= MAX_CHECKPOINTS:
        checkpoints = thinned(lane.consumed, checkpoints)
    return move.dst, replace(lane, sent_wei=move.wei, checkpoints=checkpoints)


def thinned(consumed: int, checkpoints: tuple[LanePosition, ...]) -> tuple[LanePosition, ...]:
    """Every second checkpoint, counted from the newest, and those that hold gaps to MAX_GAP.

    Any finalised position of the lane proves all before it, so those between can go. Blocks anchored
    earlier are judged by the state at their anchor, not by this. What stays are at most 256 and one for
    each 4000 messages that wait.
    """
    kept: list[LanePosition] = []
    newest = len(checkpoints) - 1
    for index, checkpoint in enumerate(checkpoints):
        before = kept[-1].count if kept else consumed
        in_turn = (newest - index) % 2 == 0
        if in_turn or checkpoints[index + 1].count - before > MAX_GAP:
            kept.append(checkpoint)
    return tuple(kept)


def _consumed(
    rules: BeaconRules, state: BeaconState, shard: ShardId, move: InboxMove, where: str
) -> tuple[ShardId, LaneState]:
    """Check that the inbox has only passed finalised messages: at or before the lane's last checkpoint.

    The shard's committee held the block to the last checkpoint at its anchor. Comparing with the newest one is
    enough here: checkpoints only grow, so no honest block is refused, and whatever a committee signs, an inbox
    cannot pass the messages that its source has sent.

    Its gas only has to grow, and any part of what it passed may have been asked for. Neither is compared with
    the source's: a source that lies about it would stop the shards that consume its messages.

    Its wei are at most those of the first checkpoint that proves what it consumed: no more than has left
    the source. The shard's judges have held each message to the checkpoint that proves it at the anchor
    (node.shard.run), which is this one or an earlier one, so that no honest block is refused, whatever
    the source says of its wei.
    """
    if not 0 <= move.src < rules.shards or move.src == shard:
        raise InvalidBlock(f"{where}: consumes from {move.src}, which is no other shard")
    lane = state.lane(move.src, shard)
    if not lane.consumed < move.count <= lane.last:
        raise InvalidBlock(
            f"{where}: the inbox from {move.src} goes from {lane.consumed} to {move.count}, "
            f"and {lane.last} are finalised"
        )
    if move.gas < lane.consumed_gas:
        raise InvalidBlock(
            f"{where}: the gas of the inbox from {move.src} goes from {lane.consumed_gas} to {move.gas}"
        )
    if not 0 <= move.asked - lane.consumed_asked <= move.count - lane.consumed:
        raise InvalidBlock(
            f"{where}: those of the inbox from {move.src} that were asked for go from "
            f"{lane.consumed_asked} to {move.asked}"
        )
    proof = next(c for c in lane.checkpoints if c.count >= move.count)
    if not lane.consumed_wei <= move.wei <= proof.wei:
        raise InvalidBlock(
            f"{where}: the wei of the inbox from {move.src} go from {lane.consumed_wei} to {move.wei}, "
            f"and {proof.wei} were sent"
        )
    left = tuple(c for c in lane.checkpoints if c.count > move.count)
    return move.src, replace(
        lane,
        consumed=move.count,
        consumed_gas=move.gas,
        consumed_wei=move.wei,
        consumed_asked=move.asked,
        checkpoints=left,
    )


def _supply(
    rules: BeaconRules, state: BeaconState, shard: ShardId, requests: ShardRequests, where: str
) -> SupplyState:
    """The supply of the shard after the block. A shard cannot give away more than it has."""
    before = state.supply(shard)
    counters = before.counters if requests.counters is None else requests.counters
    issued = counters.issued - before.counters.issued
    burned = counters.burned - before.counters.burned
    if burned < 0:
        raise InvalidBlock(f"{where}: the wei that were burned become fewer")
    if issued and not rules.dev_methods:
        raise InvalidBlock(
            f"{where}: wei are issued, which the genesis does not allow (params.dev_methods)"
        )
    received = sum(move.wei - state.lane(move.src, shard).consumed_wei for move in requests.inbox)
    sent = sum(move.wei - state.lane(shard, move.dst).sent_wei for move in requests.outbox)
    wei = before.wei + received - sent + issued - burned
    if not 0 <= wei < 1 << WEI_BITS:
        raise InvalidBlock(
            f"{where}: the shard would hold {wei} wei: it had {before.wei}, received {received}, sent "
            f"{sent}, issued {issued}, burned {burned}"
        )
    return SupplyState(wei=wei, counters=counters)


def _born(state: BeaconState, shard: ShardId, births: Iterable[Birth]) -> dict[Address, ShardId]:
    """The addresses that need an entry in the directory, each with its home, in the order of their creation.

    A birth counts if its creator lives on the shard, by the books or by the births before it: a shard only
    speaks for its own contracts. Predeploys live on every shard, so that the same contract can be made by them
    on two: those, and what these make in the same block, have an entry in their own range, too, which tells
    the other shards that the address is taken. A birth at an address of another shard, or by a creator of
    another shard, is left out. It is no reason to refuse the block: a decided block that could never be taken
    in would stop its shard for good. A contract that is gone again makes no entry, but those it created live
    here. What was created by the one of two equal contracts that the directory gave to another shard is given
    to that shard, too: only the contract there can make it, and this shard hears that it has to let it go.
    """
    here: set[Address] = set()
    given: dict[Address, ShardId] = {}
    shared: set[Address] = set(PREDEPLOYS)
    entries: dict[Address, ShardId] = {}
    for birth in births:
        creator, address, entry = birth.creator, birth.address, state.directory_entry(birth.address)
        may_be_twice = creator in shared
        if not may_be_twice and creator not in here and state.home(creator) != shard:
            owner = given.get(creator, state.directory_entry(creator))
            if owner is not None and entry is None:
                given[address] = owner
                if birth.kept:
                    entries[address] = owner
            continue
        if entry not in (None, shard):
            continue
        here.add(address)
        if may_be_twice:
            shared.add(address)
        if birth.kept and ((may_be_twice and entry is None) or state.home(address) != shard):
            entries[address] = shard
    return entries
