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
    BlockOverride,
    CannotOverride,
    StateOverride,
    apply_overrides,
    moved_precompiles,
)
from node.execution.evm.precompile_table import PRECOMPILES, Precompile
from node.execution.evm.results import TransactionResult
from node.execution.evm.simulate import SimulatedCall
from node.execution.evm.timed import TimedEvm
from node.execution.evm.validity import MAX_NONCE, gas_of
from node.execution.frame.context import BlockContext
from node.execution.state.receipts import Log, Receipt, or_blooms
from node.execution.state.state import State
from node.execution.tracers.trace_transfers import EMITTER, TransferTracer
from node.execution.tracers.tracing import TracedEvm
from node.execution.trie.errors import ExecutionTimedOut
from node.execution.trie.trie import ordered_root
from node.primitives.basics import ZERO_ADDRESS, Address, ShardId
from node.primitives.errors import AtollError, InvalidTransaction
from node.primitives.fields import U256, Count
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
    """A call to make, as a transaction of this type. `call.gas_price` is the most that it pays, `tip` its
    priority fee. The gas and the nonce of the transaction are `gas` and `nonce`; without them all gas that the
    block has left, and the next nonce. `call` has no overrides of its own."""

    call: SimulatedCall
    type: int
    tip: U256
    gas: Count | None = None
    nonce: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block to simulate. What `block` leaves out follows from the block before."""

    calls: tuple[Call, ...] = ()
    accounts: tuple[StateOverride, ...] = ()
    block: BlockOverride | None = None


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
    guests: Sequence[StateOverride] = ()
    _hashes: dict[int, bytes] = field(default_factory=dict)
    _settled: set[Address] = field(default_factory=set)
    _precompiles: Mapping[bytes, Precompile] = field(default_factory=lambda: PRECOMPILES)

    def run(self, blocks: Sequence[Block]) -> list[Simulated]:
        """Raises CannotSimulate."""
        try:
            self._settle(self.guests)
            return [self._block(*each) for each in _in_order(self.header, blocks)]
        except ExecutionTimedOut:
            raise CannotSimulate("execution aborted: the time is up", TIMEOUT) from None
        except CannotOverride as error:
            raise CannotSimulate(str(error), SERVER_ERROR) from None

    def _settle(self, accounts: Sequence[StateOverride]) -> None:
        """Let these accounts be here, as they are given. Precompiles are moved for one block, as in geth."""
        self._precompiles = moved_precompiles(accounts)
        if accounts:
            apply_overrides(self.state, accounts)
            self._settled |= {override.address for override in accounts}
            self._settled |= {o.moved_to for o in accounts if o.moved_to is not None}

    def _block(self, block: Block, override: BlockOverride) -> Simulated:
        self._settle(block.accounts)
        context = override.apply(self._context())
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

    def _context(self) -> BlockContext:
        """The context of a block like its parent, with its number and time."""
        parent = self.header
        return BlockContext(
            chain_id=self.chain_id,
            number=parent.number,
            timestamp=parent.timestamp,
            coinbase=parent.coinbase,
            gas_limit=parent.gas_limit,
            base_fee=next_base_fee(parent) if self.validation else 0,
            prev_randao=parent.prev_randao,
            parent_beacon_block_root=parent.parent_beacon_block_root,
            block_hash=self._hash_of,
            beacon=replace(self.beacon, settled=self._settled.__contains__),
        )

    def _hash_of(self, number: int) -> bytes | None:
        found = self._hashes.get(number)
        return self.block_hash(number) if found is None else found

    # ------------------------------------------------------------------ one call

    def _call(self, call: Call, context: BlockContext, gas_left: int, index: int) -> Called:
        self._check_place(call.call, index)
        try:
            check_authorizations(
                call.call.authorizations, self.chain_id, self.shard, self._settled_home
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
            self.state.set_nonce(tx.sender, 0)  # it wraps around without validation
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
        made = call.call
        nonce = self.state.nonce(made.sender) if call.nonce is None else call.nonce
        return unsigned(
            Transaction(
                type=call.type,
                chain_id=self.chain_id,
                nonce=nonce,
                max_priority_fee_per_gas=call.tip,
                max_fee_per_gas=made.gas_price,
                gas=min(gas, self.gas),
                to=made.to,
                value=made.value,
                data=made.data,
                access_list=made.access_list,
                authorizations=made.authorizations,
                v=0,
                r=0,
                s=0,
                raw=b"",
                sender=made.sender,
            )
        )

    def _check(self, tx: Transaction, context: BlockContext, index: int) -> tuple[int, int]:
        """(floor gas, intrinsic gas) of a call that can be made."""
        intrinsic, floor = gas_of(tx)
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

    def _check_place(self, call: SimulatedCall, index: int) -> None:
        """Raise CannotSimulate for an account of another shard. The zero address may call from anywhere."""
        for account in (call.sender, call.to or ZERO_ADDRESS):
            if account != ZERO_ADDRESS and not self._is_home(account):
                raise CannotSimulate(
                    f"call {index}: one shard is simulated, here shard {self.shard}, and "
                    f"{to_checksum_address(account)} lives on shard {self._home(account)}",
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


def _in_order(base: Header, blocks: Sequence[Block]) -> list[tuple[Block, BlockOverride]]:
    """The blocks with overrides that name number and time, and empty blocks where numbers are left out."""
    out: list[tuple[Block, BlockOverride]] = []
    number, time = base.number, base.timestamp
    for block in blocks:
        override = block.block or BlockOverride()
        wanted = number + 1 if override.number is None else override.number
        if wanted <= number:
            raise CannotSimulate(
                f"block numbers must be in order: {wanted} <= {number}", BLOCK_NUMBERS
            )
        if wanted - base.number > MAX_BLOCKS:
            raise CannotSimulate(f"too many blocks: at most {MAX_BLOCKS}", CLIENT_LIMIT)
        for between in range(number + 1, wanted):
            time += 1
            out.append((Block(), BlockOverride(number=between, time=time)))
        at = time + 1 if override.time is None else override.time
        if at <= time:
            raise CannotSimulate(f"block timestamps must be in order: {at} <= {time}", BLOCK_TIMES)
        number, time = wanted, at
        out.append((block, replace(override, number=number, time=time)))
    return out
