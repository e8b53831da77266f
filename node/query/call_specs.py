"""Calls to be simulated or traced: the form in which nodes send them, and the form that the execution takes.

Sizes and ranges of single fields are part of the types; `check` limits the total. Amounts are big endian.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from node.execution.evm.overrides import StateOverride
from node.execution.evm.simulate import SimulatedCall
from node.execution.frame.context import BlockContext
from node.primitives import rlp
from node.primitives.basics import Address, Hash32
from node.primitives.transaction import (
    TYPE_ACCESS_LIST,
    TYPE_DYNAMIC_FEE,
    TYPE_LEGACY,
    TYPE_SET_CODE,
    AccessList,
    Authorization,
    Transaction,
)
from node.query.question import AddressBytes, Amount, HashBytes, Height
from node.shard.simulated import Block, Call, Called, Simulated
from rpc.times import LONGEST_TRACE

MAX_ACCESS_ENTRIES = 10_000
MAX_PATCHES = 1_000
MAX_PATCHED_SLOTS = 10_000
MAX_AUTHORIZATIONS = 1_000
MAX_BLOCKS = 256
MAX_CALLS = 5_000
SIMULATED_TYPES = (TYPE_LEGACY, TYPE_ACCESS_LIST, TYPE_DYNAMIC_FEE, TYPE_SET_CODE)
TRACERS = r"\A(callTracer|prestateTracer|4byteTracer|noopTracer)?\Z"

Count = Annotated[int, msgspec.Meta(ge=0)]
"""Up to 64 bits, as many as msgpack has."""


class AccountPatch(msgspec.Struct, frozen=True, kw_only=True):
    """Overrides of an account for a simulated call; None keeps the value of the state.

    `storage` holds slots with their values, 32 bytes each; with `replace_storage` the account has no others.
    `balance` is big endian. A precompile with `moved_to` is moved to that address.
    """

    address: AddressBytes
    balance: Amount | None = None
    nonce: Count | None = None
    code: bytes | None = None
    storage: list[tuple[HashBytes, HashBytes]] = []
    replace_storage: bool = False
    moved_to: AddressBytes | None = None


class BlockPatch(msgspec.Struct, frozen=True, kw_only=True):
    """Overrides of the block's header for a simulated call. Fees are big endian."""

    number: Count | None = None
    time: Count | None = None
    gas_limit: Count | None = None
    fee_recipient: AddressBytes | None = None
    prev_randao: HashBytes | None = None
    base_fee: Amount | None = None
    blob_base_fee: Amount | None = None


class SignedAuthorization(msgspec.Struct, frozen=True, kw_only=True):
    """An EIP-7702 authorization. `chain_id`, `r` and `s` are big endian."""

    chain_id: Amount
    address: AddressBytes
    nonce: Count
    y_parity: Annotated[int, msgspec.Meta(ge=0, lt=256)]
    r: Amount
    s: Amount


class CallSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A message call to simulate. Amounts are big endian. `credit` gives `sender` the value first,
    as an arriving message would; `to` is None for a creation."""

    sender: AddressBytes
    to: AddressBytes | None
    value: Amount
    data: bytes
    gas: Height
    gas_price: Amount = b""
    access_list: list[tuple[AddressBytes, list[HashBytes]]] = []
    authorizations: list[SignedAuthorization] = []
    accounts: list[AccountPatch] = []
    block: BlockPatch | None = None
    credit: bool = False

    def check(self) -> None:
        """Raise ValueError for more than a call may hold."""
        if sum(1 + len(keys) for _, keys in self.access_list) > MAX_ACCESS_ENTRIES:
            raise ValueError(f"call: the access list has more than {MAX_ACCESS_ENTRIES} entries")
        if len(self.authorizations) > MAX_AUTHORIZATIONS:
            raise ValueError(f"call: more than {MAX_AUTHORIZATIONS} authorizations")
        check_patches(self.accounts)


class BlockCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a simulated block. `gas` and `nonce` are None for those that follow; `call.gas_price` is
    the most that the call pays, `tip` its priority fee, big endian; `call` has no overrides of its own."""

    call: CallSpec
    type: int
    tip: Amount
    gas: Count | None = None
    nonce: Count | None = None


class BlockSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A block to simulate."""

    calls: list[BlockCall] = []
    accounts: list[AccountPatch] = []
    block: BlockPatch | None = None


class SimulationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks to simulate on top of one another. `beacon` is the beacon block whose directory says where
    accounts live, None for that to which the block is anchored on which they stand. `guests` are accounts
    of other shards, as they are there: for the simulation they live here."""

    blocks: list[BlockSpec]
    guests: list[AccountPatch] = []
    beacon: Height | None = None
    validation: bool = False
    trace_transfers: bool = False

    def check(self) -> None:
        """Raise ValueError for more than a simulation may hold."""
        if len(self.blocks) > MAX_BLOCKS or sum(len(b.calls) for b in self.blocks) > MAX_CALLS:
            raise ValueError(f"simulation: at most {MAX_BLOCKS} blocks and {MAX_CALLS} calls")
        if sum(len(p.storage) for b in self.blocks for p in b.accounts) > MAX_PATCHED_SLOTS:
            raise ValueError("simulation: too many overrides")
        check_patches(self.guests)
        for block in self.blocks:
            check_patches(block.accounts)
            for call in block.calls:
                call.call.check()
                if call.type not in SIMULATED_TYPES:
                    raise ValueError("simulation: a call is malformed")


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """`error` is None for success, "execution reverted" for a revert, else the EVM's reason."""

    error: str | None
    output: bytes
    gas_used: int


class CalledReport(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was simulated: the transaction that it was, unsigned, and its outcome. `peak_gas` is what
    it had used before refunds. `logs` are in RLP: a list of [address, topics, data]."""

    raw: bytes
    sender: bytes
    outcome: CallOutcome
    peak_gas: int
    logs: bytes


class BlockReport(msgspec.Struct, frozen=True, kw_only=True):
    """A block that was simulated: its header, RLP."""

    header: bytes
    calls: list[CalledReport]


class TraceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a trace. `tracer` is "" for the struct logger or one of geth's names. The options are geth's;
    those of other tracers are ignored. `limit` is the number of steps, 0 for no limit; `milliseconds` bounds
    the whole question.
    """

    tracer: Annotated[str, msgspec.Meta(pattern=TRACERS)] = ""
    milliseconds: Annotated[int, msgspec.Meta(gt=0, le=int(LONGEST_TRACE * 1000))] = 5000
    limit: Height = 0
    stack: bool = True
    storage: bool = True
    memory: bool = False
    return_data: bool = False
    only_top_call: bool = False
    with_log: bool = False
    diff_mode: bool = False


class TracedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a block to trace. `paid` is gas that its transaction used on another shard before."""

    index: Annotated[int, msgspec.Meta(ge=0)]
    paid: Height = 0


class Accessed(msgspec.Struct, frozen=True, kw_only=True):
    """The accesses of a call beyond the addresses and slots that are warm from the start, and the outcome of
    the call with that list.
    """

    access_list: list[tuple[bytes, list[bytes]]]
    outcome: CallOutcome


def check_patches(accounts: Sequence[AccountPatch]) -> None:
    """Raise ValueError for too many state overrides."""
    slots = sum(len(patch.storage) for patch in accounts)
    if len(accounts) > MAX_PATCHES or slots > MAX_PATCHED_SLOTS:
        raise ValueError("call: too many overrides")


# ---------------------------------------------------------------------- for the execution

REVERTED = "execution reverted"


def call_of(spec: CallSpec, gas: int) -> SimulatedCall:
    return SimulatedCall(
        sender=Address(spec.sender),
        to=Address(spec.to) if spec.to is not None else None,
        value=int.from_bytes(spec.value, "big"),
        data=spec.data,
        gas=gas,
        gas_price=int.from_bytes(spec.gas_price, "big"),
        access_list=_access_list(spec),
        authorizations=authorizations_of(spec),
        arrives=spec.credit,
    )


def authorizations_of(spec: CallSpec) -> tuple[Authorization, ...]:
    return tuple(
        Authorization(
            chain_id=int.from_bytes(item.chain_id, "big"),
            address=Address(item.address),
            nonce=item.nonce,
            y_parity=item.y_parity,
            r=int.from_bytes(item.r, "big"),
            s=int.from_bytes(item.s, "big"),
        )
        for item in spec.authorizations
    )


def _access_list(spec: CallSpec) -> AccessList:
    return tuple(
        (Address(address), tuple(int.from_bytes(key, "big") for key in keys))
        for address, keys in spec.access_list
    )


def overrides_of(patches: list[AccountPatch]) -> dict[Address, StateOverride]:
    out = {}
    for patch in patches:
        words = {
            int.from_bytes(slot, "big"): int.from_bytes(value, "big")
            for slot, value in patch.storage
        }
        out[Address(patch.address)] = StateOverride(
            balance=None if patch.balance is None else int.from_bytes(patch.balance, "big"),
            nonce=patch.nonce,
            code=patch.code,
            state=words if patch.replace_storage else None,
            state_diff=None if patch.replace_storage else words,
            moved_to=None if patch.moved_to is None else Address(patch.moved_to),
        )
    return out


def patched(context: BlockContext, patch: BlockPatch) -> BlockContext:
    return replace(context, **_changes(patch))


def _changes(patch: BlockPatch) -> dict[str, Any]:
    """The fields of a `BlockContext` that are named."""
    changes: dict[str, Any] = {}
    if patch.number is not None:
        changes["number"] = patch.number
    if patch.time is not None:
        changes["timestamp"] = patch.time
    if patch.gas_limit is not None:
        changes["gas_limit"] = patch.gas_limit
    if patch.fee_recipient is not None:
        changes["coinbase"] = Address(patch.fee_recipient)
    if patch.prev_randao is not None:
        changes["prev_randao"] = Hash32(patch.prev_randao)
    if patch.base_fee is not None:
        changes["base_fee"] = int.from_bytes(patch.base_fee, "big")
    if patch.blob_base_fee is not None:
        changes["blob_base_fee"] = int.from_bytes(patch.blob_base_fee, "big")
    return changes


# ---------------------------------------------------------------------- blocks


def block_of(spec: BlockSpec, chain_id: int) -> Block:
    changes = _changes(spec.block) if spec.block is not None else {}
    if "timestamp" in changes:
        changes["time"] = changes.pop("timestamp")
    return Block(
        calls=[Call(tx=_transaction(c, chain_id), gas=c.gas, nonce=c.nonce) for c in spec.calls],
        overrides=overrides_of(spec.accounts),
        **changes,
    )


def _transaction(item: BlockCall, chain_id: int) -> Transaction:
    """The transaction that the call describes; nonce and gas are filled in at execution."""
    call = item.call
    return Transaction(
        type=item.type,
        chain_id=chain_id,
        nonce=0,
        max_priority_fee_per_gas=int.from_bytes(item.tip, "big"),
        max_fee_per_gas=int.from_bytes(call.gas_price, "big"),
        gas=0,
        to=None if call.to is None else Address(call.to),
        value=int.from_bytes(call.value, "big"),
        data=call.data,
        access_list=_access_list(call),
        authorizations=authorizations_of(call),
        v=0,
        r=0,
        s=0,
        raw=b"",
        sender=Address(call.sender),
    )


def report_of(block: Simulated) -> BlockReport:
    return BlockReport(
        header=block.header.encoded, calls=[_called_report(done) for done in block.calls]
    )


def _called_report(done: Called) -> CalledReport:
    result = done.result
    return CalledReport(
        raw=done.tx.raw,
        sender=done.tx.sender,
        outcome=CallOutcome(
            error=None if result.success else result.error or REVERTED,
            output=result.output,
            gas_used=result.gas_used,
        ),
        peak_gas=result.peak_gas,
        logs=rlp.encode([log.items() for log in done.logs]),
    )
