"""The rules by which a transaction may be included: geth's rules in geth's words."""

from collections.abc import Sequence
from typing import Protocol

from eth_utils.address import to_checksum_address

from node.execution.evm.blobs import BlobTransaction, check_blobs
from node.execution.evm.calls import delegation_of
from node.execution.evm.machine import MAX_INITCODE_BYTES
from node.execution.frame.context import BlockContext
from node.execution.state.state import State
from node.execution.trie.errors import (
    FeeTooLow,
    GasLimitReached,
    InsufficientFunds,
    NonceTooHigh,
    NonceTooLow,
)
from node.primitives.basics import Address
from node.primitives.errors import InvalidTransaction
from node.primitives.transaction import AccessList, ImpersonatedTransaction, Transaction

BASE_GAS = 21_000
CREATION_GAS = 32_000
ZERO_BYTE_GAS = 4
TOKENS_PER_NONZERO_BYTE = 4
FLOOR_TOKEN_GAS = 10
INITCODE_WORD_GAS = 2
ACCESS_ADDRESS_GAS = 2400
ACCESS_SLOT_GAS = 1900
AUTHORIZATION_GAS = 25_000
MAX_NONCE = (1 << 64) - 1


def data_tokens(data: bytes) -> int:
    """EIP-7623: one for a zero byte, four for another."""
    zeros = data.count(0)
    return zeros + TOKENS_PER_NONZERO_BYTE * (len(data) - zeros)


class Payload(Protocol):
    """The fields of a transaction, or of a simulated call, that cost gas before any code runs."""

    @property
    def to(self) -> Address | None: ...
    @property
    def data(self) -> bytes: ...
    @property
    def access_list(self) -> AccessList: ...
    @property
    def authorizations(self) -> Sequence[object]: ...


def gas_of(tx: Payload) -> tuple[int, int]:
    """(intrinsic gas, floor gas) of a transaction with these fields."""
    tokens = data_tokens(tx.data) if tx.data else 0
    intrinsic = BASE_GAS + ZERO_BYTE_GAS * tokens + AUTHORIZATION_GAS * len(tx.authorizations)
    if tx.to is None:
        intrinsic += CREATION_GAS + INITCODE_WORD_GAS * ((len(tx.data) + 31) // 32)
    for _, slots in tx.access_list:
        intrinsic += ACCESS_ADDRESS_GAS + ACCESS_SLOT_GAS * len(slots)
    return intrinsic, BASE_GAS + FLOOR_TOKEN_GAS * tokens


def intrinsic_gas(tx: Transaction) -> int:
    """The gas that a transaction costs before any code runs (EIP-2028, 2930, 3860, 7702)."""
    return gas_of(tx)[0]


def floor_gas(tx: Transaction) -> int:
    """The least gas that a transaction costs, for its data (EIP-7623)."""
    return gas_of(tx)[1]


def check_static(tx: Transaction, chain_id: int) -> tuple[int, int]:
    """Check a transaction without a state; (intrinsic gas, floor gas). Raises InvalidTransaction."""
    if tx.chain_id is not None and tx.chain_id != chain_id:
        raise InvalidTransaction(f"invalid chain id for signer: have {tx.chain_id} want {chain_id}")
    if tx.nonce >= MAX_NONCE:
        raise InvalidTransaction(
            f"nonce has max value: address {_text(tx.sender)}, nonce: {tx.nonce}"
        )
    if tx.max_priority_fee_per_gas > tx.max_fee_per_gas:
        raise InvalidTransaction(
            f"max priority fee per gas higher than max fee per gas: address {_text(tx.sender)}, "
            f"maxPriorityFeePerGas: {tx.max_priority_fee_per_gas}, "
            f"maxFeePerGas: {tx.max_fee_per_gas}"
        )
    intrinsic, floor = gas_of(tx)
    if tx.gas < intrinsic:
        raise InvalidTransaction(f"intrinsic gas too low: have {tx.gas}, want {intrinsic}")
    if tx.gas < floor:
        raise InvalidTransaction(
            f"insufficient gas for floor data gas cost: have {tx.gas}, want {floor}"
        )
    if tx.to is None and len(tx.data) > MAX_INITCODE_BYTES:
        raise InvalidTransaction(
            f"max initcode size exceeded: code size {len(tx.data)} limit {MAX_INITCODE_BYTES}"
        )
    return intrinsic, floor


def check_against(state: State, context: BlockContext, tx: Transaction, gas_available: int) -> None:
    """Check a transaction against the block and the sender's account. Raises InvalidTransaction."""
    sender = tx.sender
    nonce = state.nonce(sender)
    if tx.nonce < nonce:
        raise NonceTooLow(f"nonce too low: address {_text(sender)}, tx: {tx.nonce} state: {nonce}")
    if tx.nonce > nonce:
        raise NonceTooHigh(
            f"nonce too high: address {_text(sender)}, tx: {tx.nonce} state: {nonce}"
        )
    code = state.code(sender)
    if (
        code
        and delegation_of(code) is None
        and not isinstance(tx, ImpersonatedTransaction)  # users impersonate contracts above all
    ):
        raise InvalidTransaction(
            f"sender not an eoa: address {_text(sender)}, len(code): {len(code)}"
        )
    if tx.max_fee_per_gas < context.base_fee:
        raise FeeTooLow(
            f"max fee per gas less than block base fee: address {_text(sender)}, "
            f"maxFeePerGas: {tx.max_fee_per_gas}, baseFee: {context.base_fee}"
        )
    cost = tx.gas * tx.max_fee_per_gas + tx.value
    if isinstance(tx, BlobTransaction):
        check_blobs(tx, context)
        cost += tx.blob_gas * tx.max_fee_per_blob_gas
    balance = state.balance(sender)
    if balance < cost:
        raise InsufficientFunds(
            f"insufficient funds for gas * price + value: address {_text(sender)} "
            f"have {balance} want {cost}"
        )
    if tx.gas > context.gas_limit:
        raise GasLimitReached("exceeds block gas limit")
    if tx.gas > gas_available:
        raise GasLimitReached("gas limit reached")


def _text(address: Address) -> str:
    return to_checksum_address(address)
