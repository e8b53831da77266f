"""eth_simulateV1: blocks that no committee decided, on the state of one shard, with guests from others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from node.concurrency.gather import gather
from node.execution.evm.overrides import StateOverride
from node.execution.state.receipts import Log, decode_log
from node.primitives import rlp
from node.primitives.basics import ZERO_ADDRESS, Address, keccak256
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.fields import U256
from node.primitives.header import Header
from node.primitives.transaction import TYPE_ACCESS_LIST, TYPE_LEGACY
from node.primitives.unsigned import decode_unsigned
from node.query.call_specs import (
    BlockReport,
    CalledReport,
    CallOutcome,
    SimulationSpec,
)
from node.query.questions import SimulateQuestion
from node.shard.block import ShardBlock
from node.shard.simulated import Block, Call
from node.view import calls, present
from node.view.assembly import head_view
from node.view.entries import Entry, ListedBlock, Place
from node.view.ports import Listing
from node.view.reads import StatePlace, read_account
from node.view.reverts import reverted
from node.view.shards import Shards
from node.view.wallet.wallet import type_of
from rpc.errors import LimitExceeded
from rpc.threads import FEW
from rpc.wire import (
    BlockRef,
    CallRequest,
    SimulatedBlock,
    SimulatedCallResult,
    SimulatedFailure,
    SimulateRequest,
)

REVERT, VM_ERROR = 3, -32015


MAX_GUESTS = 100


@dataclass(frozen=True, slots=True)
class _Reported:
    listed: ListedBlock
    called: tuple[CalledReport, ...]


async def simulate(
    shards: Shards, view: Listing, request: SimulateRequest, ref: BlockRef
) -> tuple[SimulatedBlock, ...]:
    """Raises RpcError with the codes of the specification."""
    accounts, blocks = await shards.aside.run(partial(_prepared, request, view.chain_id))
    base = await view.simulation_base(accounts, ref)
    spec = SimulationSpec(
        blocks=blocks,
        guests=await _guests(shards, base, accounts, request),
        beacon=base.beacon,
        validation=request.validation,
        trace_transfers=request.trace_transfers,
    )

    question = SimulateQuestion(height=base.height, spec=spec)
    with shards.source(base.shard, question.patience) as source:
        reports = await source.ask(question)
        found = await shards.aside.run(lambda: [_listed(base.shard, each) for each in reports])
    return await shards.aside.run(
        lambda: tuple(_shown(item, request.full_transactions) for item in found)
    )


def _prepared(request: SimulateRequest, chain_id: int) -> tuple[list[Address], list[Block]]:
    """The accounts that may say where to simulate, each once, and the blocks as the port takes them."""
    for block in request.blocks:
        for call in block.calls:
            calls.check_request(call, chain_id)
    blocks = [
        Block(
            calls=tuple(_call(call) for call in block.calls),
            accounts=calls.state_overrides(block.overrides),
            block=calls.block_override(block.overrides.block),
        )
        for block in request.blocks
    ]
    return list(dict.fromkeys(_accounts(request))), blocks


def _accounts(request: SimulateRequest) -> Iterable[Address]:
    """The accounts that may say on which shard to simulate, those that decide first. An account that is
    overridden is there wherever that is."""
    overridden = {who for block in request.blocks for who in block.overrides.accounts}
    made = [call for block in request.blocks for call in block.calls]
    named = [call.from_ for call in made] + [call.to for call in made]
    known = [who for who in named if who is not None and who != ZERO_ADDRESS]
    yield from (Address(who) for who in known if who not in overridden)
    yield from (Address(who) for who in known if who in overridden)


async def _guests(
    shards: Shards,
    base: calls.SimulationBase,
    accounts: Sequence[Address],
    request: SimulateRequest,
) -> tuple[StateOverride, ...]:
    """The accounts that calls name and that live on other shards, as they are there. Those with code have
    storage and stay where they are, unless their code is overridden. Raises RpcError."""
    recoded = {
        who
        for block in request.blocks
        for who, override in block.overrides.accounts.items()
        if override.code is not None
    }
    away: dict[Address, StatePlace] = {}
    for number, who in enumerate(accounts):
        if (place := base.away(who)) is not None:
            away[who] = place
        if number % FEW == FEW - 1:
            await trio.lowlevel.checkpoint()
    if len(away) > MAX_GUESTS:
        raise LimitExceeded(
            f"the calls name {len(away)} accounts of other shards than shard {base.shard}, "
            f"at most {MAX_GUESTS} can be read"
        )

    async def read(who: Address, place: StatePlace) -> StateOverride | None:
        account = await read_account(shards, place, who, code=True)
        if account.code and who not in recoded:
            return None
        balance = U256.from_bytes(account.balance, "big")
        return StateOverride(address=who, balance=balance, nonce=account.nonce)

    found = await gather([partial(read, who, place) for who, place in away.items()])
    return tuple(guest for guest in found if guest is not None)


def _call(request: CallRequest) -> Call:
    kind = type_of(request)
    fixed = kind in (TYPE_LEGACY, TYPE_ACCESS_LIST)
    price = (request.gas_price if fixed else request.max_fee_per_gas) or 0
    tip = price if fixed else request.max_priority_fee_per_gas or 0
    return Call(
        call=calls.plain_call(request, price),
        type=kind,
        tip=U256(tip),
        gas=request.gas,
        nonce=request.nonce,
    )


def _listed(shard: int, report: BlockReport) -> _Reported:
    """A report in the shape of a block that exists. Raises DecodeError."""
    header = Header.decode(report.header)
    entries = tuple(
        _entry(Place(shard, header.number, index), header.base_fee_per_gas, called)
        for index, called in enumerate(report.calls)
    )
    size = len(ShardBlock(header=header, items=tuple(entry.raw for entry in entries)).encoded)
    return _Reported(
        ListedBlock(head=head_view(header, size), entries=entries),
        tuple(report.calls),
    )


def _entry(place: Place, base_fee: int, called: CalledReport) -> Entry:
    try:
        tx = decode_unsigned(called.raw, Address(called.sender))
    except InvalidTransaction as error:
        raise DecodeError(f"a simulated call: {error}") from None
    price = tx.effective_gas_price(base_fee)
    return Entry(
        hash=keccak256(called.raw),
        place=place,
        item=tx,
        raw=called.raw,
        status=int(called.outcome.error is None),
        gas_used=called.outcome.gas_used,
        gas_price=price,
        tip=max(0, price - base_fee),
        logs=_logs(called.logs),
    )


def _logs(raw: bytes) -> tuple[Log, ...]:
    return tuple(decode_log(item) for item in rlp.decode_list(raw))


def _shown(item: _Reported, full: bool) -> SimulatedBlock:
    listed = item.listed
    return SimulatedBlock(
        block=present.block(listed, full),
        calls=tuple(
            SimulatedCallResult(
                status=entry.status,
                return_data=b"" if called.outcome.error is not None else called.outcome.output,
                gas_used=entry.gas_used,
                peak_gas=called.peak_gas,
                logs=present.receipt_at(listed, index).logs,
                error=_failure(called.outcome),
            )
            for index, (entry, called) in enumerate(zip(listed.entries, item.called, strict=True))
        ),
    )


def _failure(outcome: CallOutcome) -> SimulatedFailure | None:
    if outcome.error is None:
        return None
    if outcome.error == calls.REVERTED:
        return SimulatedFailure(REVERT, reverted(outcome.output).message, outcome.output)
    return SimulatedFailure(VM_ERROR, f"vm execution error: {outcome.error}")
