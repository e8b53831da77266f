"""Simulated calls on our own chain: eth_call, eth_estimateGas and eth_createAccessList as a shard runs them.

Synchronous; meant for the worker's threads, as the EVM needs a deep stack.
"""

from dataclasses import replace
from functools import partial

from node.execution.account import EMPTY_ACCOUNT
from node.execution.context import BlockContext
from node.execution.errors import ExecutionFailed
from node.execution.results import CallResult
from node.execution.simulate import SimulatedCall, estimate_gas, simulate
from node.execution.state import State
from node.primitives.basics import Address, Hash32
from node.primitives.errors import InvalidTransaction
from node.primitives.header import Header
from node.primitives.transaction import AccessList, Authorization
from node.runtime.queries import (
    Accessed,
    AccountPatch,
    BlockPatch,
    CallOutcome,
    CallSpec,
    Refused,
)
from node.shard.chain import ShardChain

REVERTED = "execution reverted"
ACCESS_ROUNDS = 4
"""A list that changes what the call accesses is tried again so often; what was found last is taken."""


class RecordingState(State):
    """Remembers every address and slot that executions found cold, also where a frame reverted."""

    def __init__(self, chain: ShardChain, header: Header) -> None:
        super().__init__(chain.read_node, header.state_root)
        self.seen: dict[bytes | tuple[bytes, int], None] = {}  # in order

    def mark_warm(self, key: bytes | tuple[bytes, int]) -> bool:
        self.seen[key] = None
        return super().mark_warm(key)


class Simulator:
    """`gas_cap` bounds the gas of one call."""

    def __init__(self, chain: ShardChain, *, gas_cap: int) -> None:
        self._chain = chain
        self._gas_cap = gas_cap

    # ------------------------------------------------------------------ answers

    def call(self, header: Header, spec: CallSpec) -> CallOutcome:
        """Raises Refused where not even a transaction could be made of it."""
        try:
            return _outcome(self._run(self._open(header, spec), header, spec, self._cap(spec)))
        except InvalidTransaction as error:
            raise Refused(str(error)) from None

    def estimate(self, header: Header, spec: CallSpec) -> CallOutcome:
        """`gas_used` is the least gas limit that succeeds; with `credit` without intrinsic gas."""
        if spec.credit:
            return self._estimate_arrival(header, spec)
        cap = self._cap(spec)
        try:
            gas = estimate_gas(
                self._chain.evm,
                partial(self._open, header, spec),
                self._context(header, spec.block),
                _simulated(spec, cap),
                cap,
            )
        except ExecutionFailed as failure:
            return CallOutcome(error=failure.error, output=failure.output, gas_used=0)
        except InvalidTransaction as error:
            raise Refused(str(error)) from None
        return CallOutcome(error=None, output=b"", gas_used=gas)

    def access_list(self, header: Header, spec: CallSpec) -> Accessed:
        """What the call accesses, with the outcome of the call that has this list."""
        found: list[tuple[bytes, list[bytes]]] = []
        for _ in range(ACCESS_ROUNDS):
            attempt = _with_list(spec, found)
            state = RecordingState(self._chain, header)
            _patch(state, spec.accounts)
            try:
                result = self._run(state, header, attempt, self._cap(spec))
            except InvalidTransaction as error:
                raise Refused(str(error)) from None
            seen = _merge(found, _grouped(state, set(result.created)))
            if seen == found:
                break
            found = seen
        return Accessed(access_list=found, outcome=_outcome(result))

    # ------------------------------------------------------------------ inside

    def _cap(self, spec: CallSpec) -> int:
        return min(spec.gas, self._gas_cap)

    def _open(self, header: Header, spec: CallSpec) -> State:
        state = self._chain.state(header)
        _patch(state, spec.accounts)
        return state

    def _context(self, header: Header, patch: BlockPatch | None) -> BlockContext:
        context = BlockContext(
            chain_id=self._chain.rules.chain_id,
            number=header.number,
            timestamp=header.timestamp,
            coinbase=header.coinbase,
            gas_limit=header.gas_limit,
            base_fee=header.base_fee_per_gas,
            prev_randao=header.prev_randao,
            parent_beacon_block_root=header.parent_beacon_block_root,
            block_hash=self._chain.hash_of,
        )
        return context if patch is None else _patched_context(context, patch)

    def _run(self, state: State, header: Header, spec: CallSpec, gas: int) -> CallResult:
        if spec.credit:
            return self._arrive(state, header, spec, gas)
        context = self._context(header, spec.block)
        return simulate(self._chain.evm, state, context, _simulated(spec, gas))

    def _arrive(self, state: State, header: Header, spec: CallSpec, gas: int) -> CallResult:
        """Run a call as the message that brings it would (see BlockRun.run_arrival)."""
        if spec.to is None:
            raise Refused("a contract creation does not leave its sender's shard")
        state.begin_transaction()
        value = int.from_bytes(spec.value, "big")
        state.add_balance(spec.sender, value)
        return self._chain.evm.apply_call(
            state,
            self._context(header, spec.block),
            sender=Address(spec.sender),
            to=Address(spec.to),
            value=value,
            data=spec.data,
            gas=gas,
            gas_price=int.from_bytes(spec.gas_price, "big"),
            origin=Address(spec.sender),
        )

    def _estimate_arrival(self, header: Header, spec: CallSpec) -> CallOutcome:
        """The least gas a message must carry: a transfer carries none, since nothing runs."""

        def attempt(gas: int) -> CallResult:
            return self._arrive(self._open(header, spec), header, spec, gas)

        cap = min(self._cap(spec), self._chain.rules.arrivals_gas)
        if attempt(0).success:
            return CallOutcome(error=None, output=b"", gas_used=0)
        most = attempt(cap)
        if not most.success:
            return _outcome(most)
        low, high = max(0, most.gas_used - 1), cap
        guess = most.gas_used
        while low + 1 < high:
            # What the call used with plenty is a good first guess; calls within calls keep back a 64th.
            middle = guess if low < guess < high else (low + high) // 2
            guess = middle * 65 // 64 if middle == most.gas_used else 0
            if attempt(middle).success:
                high = middle
            else:
                low = middle
        return CallOutcome(error=None, output=b"", gas_used=high)


def _outcome(result: CallResult) -> CallOutcome:
    error = None if result.success else result.error or REVERTED
    return CallOutcome(error=error, output=result.output, gas_used=result.gas_used)


def _simulated(spec: CallSpec, gas: int) -> SimulatedCall:
    return SimulatedCall(
        sender=Address(spec.sender),
        to=Address(spec.to) if spec.to is not None else None,
        value=int.from_bytes(spec.value, "big"),
        data=spec.data,
        gas=gas,
        gas_price=int.from_bytes(spec.gas_price, "big"),
        access_list=_access_list(spec),
        authorizations=tuple(
            Authorization(
                chain_id=int.from_bytes(item.chain_id, "big"),
                address=Address(item.address),
                nonce=item.nonce,
                y_parity=item.y_parity,
                r=int.from_bytes(item.r, "big"),
                s=int.from_bytes(item.s, "big"),
            )
            for item in spec.authorizations
        ),
    )


def _access_list(spec: CallSpec) -> AccessList:
    return tuple(
        (Address(address), tuple(int.from_bytes(key, "big") for key in keys))
        for address, keys in spec.access_list
    )


def _with_list(spec: CallSpec, found: list[tuple[bytes, list[bytes]]]) -> CallSpec:
    """The call with this list instead of its own."""
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return CallSpec(**{**fields, "access_list": found})


def _grouped(state: RecordingState, created: set[Address]) -> dict[bytes, list[bytes]]:
    out: dict[bytes, list[bytes]] = {}
    for key in state.seen:
        if isinstance(key, tuple):
            out.setdefault(key[0], []).append(key[1].to_bytes(32, "big"))
        else:
            out.setdefault(key, [])
    # a contract that was only created, not accessed otherwise, is warm without any list
    return {address: keys for address, keys in out.items() if keys or address not in created}


def _merge(
    old: list[tuple[bytes, list[bytes]]], new: dict[bytes, list[bytes]]
) -> list[tuple[bytes, list[bytes]]]:
    merged = {address: dict.fromkeys(keys) for address, keys in old}
    for address, keys in new.items():
        merged.setdefault(address, {}).update(dict.fromkeys(keys))
    return [(address, list(keys)) for address, keys in merged.items()]


# ---------------------------------------------------------------------- overrides


def _patched_context(context: BlockContext, patch: BlockPatch) -> BlockContext:
    changes: dict[str, object] = {}
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
    return replace(context, **changes)  # type: ignore[arg-type]  # the names are its fields


def _patch(state: State, patches: list[AccountPatch]) -> None:
    """Apply state overrides. `state` is one that is thrown away."""
    for patch in patches:
        address = patch.address
        if patch.replace_storage:
            _clear_storage(state, address)
        if patch.nonce is not None:
            state.set_nonce(address, patch.nonce)
        if patch.balance is not None:
            state.set_balance(address, int.from_bytes(patch.balance, "big"))
        if patch.code is not None:
            state.set_code(address, patch.code)
        for slot, value in patch.storage:
            state.set_storage(address, int.from_bytes(slot, "big"), int.from_bytes(value, "big"))
    if patches:
        state.begin_transaction()  # the overrides are what the call finds, not what it did


def _clear_storage(state: State, address: bytes) -> None:
    account = state.account(address) or EMPTY_ACCOUNT
    code = state.code(address)
    state.delete_account(address)
    state.set_nonce(address, account.nonce)
    state.set_balance(address, account.balance)
    state.set_code(address, code)
