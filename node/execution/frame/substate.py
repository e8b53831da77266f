"""The substate of one transaction (the Yellow Paper's A), and the world as py-evm's opcodes ask for it."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from node.execution.frame.context import BlockContext
from node.execution.frame.jumpdests import JumpDestinations
from node.execution.frame.program import Program, cache
from node.execution.state.receipts import Log
from node.execution.state.state import State
from node.primitives.basics import Address
from node.primitives.births import Birth

BLOCK_HASH_WINDOW = 256


class Substate:
    """The state, the block and the transaction that all frames of one execution share.

    It answers for py-evm's StateAPI, ExecutionContextAPI and TransactionContextAPI, as far as the
    opcodes that are left to py-evm ask. What the substate lists only grows within a frame, so a frame
    that fails is undone by cutting it to its earlier length (`mark`, `rollback`).
    """

    def __init__(
        self,
        state: State,
        context: BlockContext,
        *,
        origin: bytes,
        gas_price: int,
        blob_hashes: tuple[bytes, ...] = (),
    ) -> None:
        self.accounts = state
        self.context = context
        self.origin = origin
        self.gas_price = gas_price
        self.blob_versioned_hashes = blob_hashes
        # the substate
        self.logs: list[Log] = []
        self.created: dict[bytes, Birth] = {}
        self.destroyed: list[bytes] = []
        self.refund = 0
        self.console: list[bytes] = []
        """The data of calls of CONSOLE, those that were undone among them: nothing depends on it."""
        self.burned = 0
        self._searched: dict[bytes, JumpDestinations] = {}
        self.program_of: Callable[[bytes], Program] = self._program_of
        """Gives frames their decoded code."""
        # asked for by py-evm's opcodes
        self.get_balance = state.balance
        self.get_nonce = state.nonce
        self.get_code = state.code
        self.get_code_hash = state.code_hash
        self.snapshot = state.snapshot
        self.revert = state.revert
        self.commit = state.commit
        self.mark_address_warm = state.mark_warm
        self.block_number = context.number

    @cached_property
    def environment(self) -> tuple[int, ...]:
        """The words that are the same for all frames, in the order of `instructions`."""
        context = self.context
        return (
            int.from_bytes(self.origin, "big"),
            self.gas_price,
            int.from_bytes(context.coinbase, "big"),
            context.timestamp,
            context.number,
            int.from_bytes(context.prev_randao, "big"),
            context.gas_limit,
            context.chain_id,
            context.base_fee,
            context.blob_base_fee,
        )

    def _program_of(self, code: bytes) -> Program:
        return cache.get(code, self._searched)

    # -- the substate

    def mark(self) -> tuple[int, int, int, int, int]:
        return len(self.logs), len(self.created), len(self.destroyed), self.refund, self.burned

    def rollback(self, mark: tuple[int, int, int, int, int]) -> None:
        logs, created, destroyed, self.refund, self.burned = mark
        del self.logs[logs:]
        while len(self.created) > created:
            self.created.popitem()
        del self.destroyed[destroyed:]

    # -- py-evm's StateAPI

    def account_is_empty(self, address: bytes) -> bool:
        return not self.accounts.exists(address)

    def is_address_warm(self, address: bytes) -> bool:
        return address in self.accounts.warm

    def increment_nonce(self, address: bytes) -> None:
        self.accounts.set_nonce(address, self.accounts.nonce(address) + 1)

    def has_code_or_nonce(self, address: bytes) -> bool:
        """True if a creation collides there: code, nonce or, per EIP-7610, storage; or the address lives on
        another shard.
        """
        if self.accounts.has_code_or_nonce(address) or self.accounts.has_storage(address):
            return True
        beacon = self.context.beacon
        return beacon is not None and beacon.lives_elsewhere(Address(address))

    def delete_storage(self, address: bytes) -> None:
        """CREATE2 wants the new contract's storage cleared; `has_code_or_nonce` saw that there is none."""
        if self.accounts.has_storage(address):
            raise AssertionError(f"0x{address.hex()} has storage where a contract is created")

    def get_ancestor_hash(self, number: int) -> bytes:
        """BLOCKHASH: empty (zero) outside the last 256 blocks."""
        if not self.block_number - BLOCK_HASH_WINDOW <= number < self.block_number:
            return b""
        return self.context.block_hash(number) or b""

    def births(self) -> tuple[Birth, ...]:
        """The contracts that were created, in this order, and whether they are still there."""
        gone = set(self.destroyed)
        return tuple(
            replace(birth, kept=False) if address in gone else birth
            for address, birth in self.created.items()
        )
