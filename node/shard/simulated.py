"""Blocks that were never decided: calls on top of a shard's block, one after the other (eth_simulateV1).

As in go-ethereum's `internal/ethapi/simulate.go`, on the state of one shard. Accounts of other shards take
part where they are guests. What the shard would send to others leaves it as on the chain, and does not come
back: wei that a contract pays to one, and what it sends by MESSENGER, is gone from here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from eth_utils.address import to_checksum_address

from node.execution.evm.evm import Evm
from node.execution.evm.fees import next_base_fee
from node.execution.evm.machine import MAX_INITCODE_BYTES
from node.execution.evm.overrides import (
    CannotOverride,
    StateOverride,
    apply_overrides,
    moved_precompiles,
)
from node.execution.evm.precompile_table import PRECOMPILES, Precompile
from node.execution.evm.results import TransactionResult
from node.execution.evm.timed import TimedEvm
from node.execution.evm.validity import MAX_NONCE, gas_of
from node.execution.frame.context import BlockContext
from node.execution.state.receipts import Log, Receipt, or_blooms
from node.execution.state.state import State
from node.execution.tracers.trace_transfers import EMITTER, TransferTracer
from node.execution.tracers.tracing import TracedEvm
from node.execution.trie.errors import ExecutionTimedOut
from node.execution.trie.trie import ordered_root
from node.primitives.basics import ZERO_ADDRESS, Address, Hash32, ShardId
from node.primitives.errors import AtollError, InvalidTransaction
from node.primitives.header import Header
from node.primitives.requests import ShardRequests
from node.primitives.transaction import Transaction
from node.primitives.unsigned import unsigned
from node.shard import messenger
from node.shard.anchor_view import AnchorView
from node.shard.crossing import check_authorizations

MAX_BLOCKS = 256

NONCE_TOO_LOW, NONCE_TOO_HIGH, FEE_TOO_LOW = -38010, -38011, -38012
INTRINSIC_GAS, INSUFFICIENT_FUNDS, BLOCK_GAS = -38013, -38014, -38015
BLOCK_NUMBERS, BLOCK_TIMES = -38020, -38021
INIT_CODE, CLIENT_LIMIT = -38025, -38026
SERVER_ERROR, TIMEOUT = -32000, -32016


class CannotSimulate(AtollError):
    """The caller asked for a call that no block could hold; `code` is that of the specification."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to make. `tx` has what was asked for; with `gas` or `nonce` unset its own do not count: the
    call gets the gas that the block has left, and the nonce that is next."""

    tx: Transaction
    gas: int | None
    nonce: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block to simulate; None is what follows from the block before it."""

    calls: Sequence[Call] = ()
    overrides: Mapping[Address, StateOverride] = field(default_factory=dict)
    number: int | None = None
    time: int | None = None
    gas_limit: int | None = None
    coinbase: Address | None = None
    prev_randao: Hash32 | None = None
    base_fee: int | None = None
    blob_base_fee: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A call that ran, as the transaction it was. `logs` include transfers, if they were asked for."""

    tx: Transaction
    result: TransactionResult
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A block that could have been."""

    header: Header
    calls: tuple[Called, ...]
    receipts: tuple[Receipt, ...]


@dataclass(slots=True, kw_only=True)
class Simulation:
    """Simulated blocks on top of `header`, whose state is `state`. One use.

    `beacon` says where accounts live that this shard does not hold; `guests` are accounts of others, as they
    are there. They, and accounts that are overridden, are taken to live here. `gas` is what all calls
    together may use. With `validation` a call needs what a transaction needs, but a signature and a sender
    without code; without it its nonce does not matter and fees are only paid where asked for.
    """

    chain_id: int
    shard: ShardId
    state: State
    header: Header
    deadline: float
    gas: int
    beacon: AnchorView
    block_hash: Callable[[int], bytes | None]
    validation: bool = False
    trace_transfers: bool = False
    guests: Mapping[Address, StateOverride] = field(default_factory=dict)
    _hashes: dict[int, bytes] = field(default_factory=dict)
    _settled: set[Address] = field(default_factory=set)
    _precompiles: Mapping[bytes, Precompile] = field(default_factory=lambda: PRECOMPILES)

    def run(self, blocks: Sequence[Block]) -> list[Simulated]:
        """Raises CannotSimulate."""
        try:
            self._settle(self.guests)
            return [self._block(block) for block in _in_order(self.header, blocks)]
        except ExecutionTimedOut:
            raise CannotSimulate("execution aborted: the time is up", TIMEOUT) from None
        except CannotOverride as error:
            raise CannotSimulate(str(error), SERVER_ERROR) from None

    def _settle(self, accounts: Mapping[Address, StateOverride]) -> None:
        """Let these accounts be here, as they are given. Precompiles are moved for one block, as in geth."""
        self._precompiles = moved_precompiles(accounts)
        if accounts:
            apply_overrides(self.state, accounts)
            self._settled |= set(accounts)
            self._settled |= {o.moved_to for o in accounts.values() if o.moved_to is not None}

    def _block(self, block: Block) -> Simulated:
        self._settle(block.overrides)
        context = self._context(block)
        evm = TimedEvm(self.chain_id, self.deadline)
        evm.begin_block(self.state, context)
        called: list[Called] = []
        receipts: list[Receipt] = []
        used = 0
        for index, call in enumerate(block.calls):
            done = self._call(call, context, context.gas_limit - used, index)
            used += done.result.gas_used
            called.append(done)
            receipts.append(
                Receipt(
                    type=done.tx.type,
                    status=int(done.result.success),
                    cumulative_gas_used=used,
                    logs=tuple(log for log in done.logs if log.address != EMITTER),
                )
            )
        parent = self.header
        self.header = Header(
            parent_hash=parent.hash,
            coinbase=context.coinbase,
            state_root=self.state.seal().root,
            transactions_root=ordered_root([done.tx.raw for done in called]),
            receipts_root=ordered_root([receipt.encoded for receipt in receipts]),
            logs_bloom=or_blooms([receipt.bloom for receipt in receipts]),
            number=context.number,
            gas_limit=context.gas_limit,
            gas_used=used,
            timestamp=context.timestamp,
            extra_data=parent.extra_data,
            prev_randao=context.prev_randao,
            base_fee_per_gas=context.base_fee,
            parent_beacon_block_root=parent.parent_beacon_block_root,
            requests_hash=ShardRequests().hash,
        )
        self._hashes[context.number] = self.header.hash
        return Simulated(header=self.header, calls=tuple(called), receipts=tuple(receipts))

    def _context(self, block: Block) -> BlockContext:
        parent = self.header
        assert block.number is not None
        assert block.time is not None
        base_fee = block.base_fee
        if base_fee is None:
            base_fee = next_base_fee(parent) if self.validation else 0
        context = BlockContext(
            chain_id=self.chain_id,
            number=block.number,
            timestamp=block.time,
            coinbase=parent.coinbase if block.coinbase is None else block.coinbase,
            gas_limit=parent.gas_limit if block.gas_limit is None else block.gas_limit,
            base_fee=base_fee,
            prev_randao=parent.prev_randao if block.prev_randao is None else block.prev_randao,
            parent_beacon_block_root=parent.parent_beacon_block_root,
            block_hash=self._hash_of,
            beacon=replace(self.beacon, settled=self._settled.__contains__),
        )
        fee = block.blob_base_fee
        return context if fee is None else replace(context, blob_base_fee=fee)

    def _hash_of(self, number: int) -> bytes | None:
        found = self._hashes.get(number)
        return self.block_hash(number) if found is None else found

    # ------------------------------------------------------------------ one call

    def _call(self, call: Call, context: BlockContext, gas_left: int, index: int) -> Called:
        self._check_place(call.tx, index)
        try:
            check_authorizations(
                call.tx.authorizations, self.chain_id, self.shard, self._settled_home
            )
        except InvalidTransaction as error:
            raise CannotSimulate(f"call {index}: {error}", SERVER_ERROR) from None
        tx = self._filled(call, gas_left, index)
        floor, intrinsic = self._check(tx, context, index)
        tracer = TransferTracer()
        evm: Evm = TimedEvm(self.chain_id, self.deadline, self._precompiles)
        if self.trace_transfers:
            evm = TracedEvm(
                self.chain_id, tracer, deadline=self.deadline, precompiles=self._precompiles
            )
        result = evm.run_transaction(self.state, context, tx, intrinsic=intrinsic, floor=floor)
        if tx.nonce == MAX_NONCE:
            self.state.set_nonce(tx.sender, 0)  # it wraps around where nobody validates
        self.gas -= result.gas_used
        logs = result.logs if result.success else ()
        sent = messenger.take_sends(self.state, logs, self.shard, tx.hash)
        self._sweep()
        return Called(
            tx=tx, result=result, logs=(*logs, *(messenger.sent_log(message) for message in sent))
        )

    def _filled(self, call: Call, gas_left: int, index: int) -> Transaction:
        """The call with its nonce and gas, as an unsigned transaction."""
        gas = call.gas
        if gas is None:
            gas = gas_left
        elif gas > gas_left:
            raise CannotSimulate(
                f"block gas limit reached: call {index} has {gas}, {gas_left} left", BLOCK_GAS
            )
        nonce = self.state.nonce(call.tx.sender) if call.nonce is None else call.nonce
        return unsigned(replace(call.tx, gas=min(gas, self.gas), nonce=nonce))

    def _check(self, tx: Transaction, context: BlockContext, index: int) -> tuple[int, int]:
        """(floor gas, intrinsic gas) of a call that can be made."""
        intrinsic, floor = gas_of(
            data=tx.data,
            creates=tx.to is None,
            access_list=tx.access_list,
            authorizations=len(tx.authorizations),
        )
        sender = f"address {to_checksum_address(tx.sender)}"
        if self.validation:
            nonce = self.state.nonce(tx.sender)
            text = f"{sender}, tx: {tx.nonce} state: {nonce}"
            if tx.nonce < nonce:
                raise CannotSimulate(f"call {index}: nonce too low: {text}", NONCE_TOO_LOW)
            if tx.nonce > nonce:
                raise CannotSimulate(f"call {index}: nonce too high: {text}", NONCE_TOO_HIGH)
            if tx.nonce == MAX_NONCE:
                raise CannotSimulate(
                    f"call {index}: nonce has max value: {sender}, nonce: {tx.nonce}", SERVER_ERROR
                )
            if tx.max_fee_per_gas < context.base_fee:
                raise CannotSimulate(
                    f"call {index}: max fee per gas less than block base fee: {sender}, "
                    f"maxFeePerGas: {tx.max_fee_per_gas}, baseFee: {context.base_fee}",
                    FEE_TOO_LOW,
                )
        if tx.gas < max(intrinsic, floor):
            raise CannotSimulate(
                f"call {index}: intrinsic gas too low: have {tx.gas}, want {max(intrinsic, floor)}",
                INTRINSIC_GAS,
            )
        if tx.to is None and len(tx.data) > MAX_INITCODE_BYTES:
            raise CannotSimulate(
                f"call {index}: max initcode size exceeded: code size {len(tx.data)} "
                f"limit {MAX_INITCODE_BYTES}",
                INIT_CODE,
            )
        wanted = tx.gas * tx.max_fee_per_gas + tx.value
        balance = self.state.balance(tx.sender)
        if balance < wanted:
            raise CannotSimulate(
                f"call {index}: insufficient funds for gas * price + value: {sender} "
                f"have {balance} want {wanted}",
                INSUFFICIENT_FUNDS,
            )
        return floor, intrinsic

    # ------------------------------------------------------------------ placement

    def _is_home(self, address: Address) -> bool:
        return address in self._settled or self._home(address) == self.shard

    def _settled_home(self, address: Address) -> ShardId:
        return self.shard if self._is_home(address) else self._home(address)

    def _home(self, address: Address) -> ShardId:
        return self.beacon.home(self.state, address)

    def _check_place(self, tx: Transaction, index: int) -> None:
        """A call of nobody in particular (the zero address) may be made anywhere."""
        for who in (tx.sender, tx.to):
            if who not in (None, ZERO_ADDRESS) and not self._is_home(Address(who or b"")):
                raise CannotSimulate(
                    f"call {index}: one shard is simulated, here shard {self.shard}, and "
                    f"{to_checksum_address(who or b'')} lives on shard "
                    f"{self._home(Address(who or b''))}",
                    SERVER_ERROR,
                )

    def _sweep(self) -> None:
        """Send the wei that was paid to accounts of other shards on their way."""
        for address in self.state.touched():
            if (
                self.state.balance(address)
                and address != ZERO_ADDRESS
                and not self._is_home(address)
            ):
                self.state.set_balance(address, 0)


def _in_order(base: Header, blocks: Sequence[Block]) -> list[Block]:
    """The blocks with numbers and times, and empty ones where numbers are left out."""
    out: list[Block] = []
    number, time = base.number, base.timestamp
    for block in blocks:
        wanted = number + 1 if block.number is None else block.number
        if wanted <= number:
            raise CannotSimulate(
                f"block numbers must be in order: {wanted} <= {number}", BLOCK_NUMBERS
            )
        if wanted - base.number > MAX_BLOCKS:
            raise CannotSimulate(f"too many blocks: at most {MAX_BLOCKS}", CLIENT_LIMIT)
        for between in range(number + 1, wanted):
            time += 1
            out.append(Block(number=between, time=time))
        at = time + 1 if block.time is None else block.time
        if at <= time:
            raise CannotSimulate(f"block timestamps must be in order: {at} <= {time}", BLOCK_TIMES)
        number, time = wanted, at
        out.append(replace(block, number=number, time=time))
    return out
