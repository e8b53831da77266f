"""Transactions and calls on a state: results, refusals in geth's words, the supply."""

from dataclasses import replace
from typing import Any

import pytest

from node.execution.evm.evm import Evm
from node.execution.evm.validity import check_static, floor_gas, intrinsic_gas
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.trie.errors import (
    FeeTooLow,
    GasLimitReached,
    InsufficientFunds,
    NonceTooHigh,
    NonceTooLow,
)
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, keccak256
from node.primitives.errors import InvalidTransaction
from node.primitives.keys import SigningKey
from node.primitives.transaction import Authorization, Transaction

CHAIN = 1337
BASE_FEE = 7
ETHER = 10**18
KEY = SigningKey(b"\1" * 32)
AUTHORITY = SigningKey(b"\2" * 32)
SENDER = KEY.address
COINBASE = Address(b"\xc0" * 20)
TARGET = Address(b"\x77" * 20)
OTHER = Address(b"\x88" * 20)


def block(**changes: Any) -> BlockContext:
    context = BlockContext(
        chain_id=CHAIN,
        number=10,
        timestamp=1000,
        coinbase=COINBASE,
        gas_limit=30_000_000,
        base_fee=BASE_FEE,
        parent_beacon_block_root=Hash32(b"\xbb" * 32),
        block_hash=lambda number: keccak256(str(number).encode()),
    )
    return replace(context, **changes)


def tx(**changes: Any) -> Transaction:
    fields: dict[str, Any] = {
        "type": 2,
        "chain_id": CHAIN,
        "nonce": 0,
        "max_priority_fee_per_gas": 2,
        "max_fee_per_gas": 100,
        "gas": 200_000,
        "to": TARGET,
        "value": 0,
        "data": b"",
        "v": 0,
        "r": 1,
        "s": 1,
        "raw": b"",
        "sender": SENDER,
    }
    return Transaction(**{**fields, **changes})


def state_with(**accounts: GenesisAccount) -> State:
    named = {"target": TARGET, "other": OTHER, "authority": AUTHORITY.address, "sender": SENDER}
    alloc = {SENDER: GenesisAccount(balance=ETHER)}
    alloc |= {named[name]: account for name, account in accounts.items()}
    delta = build_genesis(alloc)
    return State(delta.nodes.get, delta.root)


def apply(state: State, transaction: Transaction, **options: Any) -> Any:
    options.setdefault("gas_available", 30_000_000)
    return Evm(CHAIN).apply_transaction(state, block(), transaction, **options)


class TestTransfers:
    def test_who_pays_and_who_gets(self) -> None:
        state = state_with()
        result = apply(state, tx(value=5, gas=21_000))
        assert (result.success, result.gas_used, result.error) == (True, 21_000, None)
        assert state.balance(TARGET) == 5
        assert state.balance(COINBASE) == 2 * 21_000
        assert state.balance(SENDER) == ETHER - 5 - 9 * 21_000
        assert result.burned == 7 * 21_000
        assert state.nonce(SENDER) == 1
        assert state.touched() == {SENDER, TARGET, COINBASE}

    def test_the_tip_is_capped_by_the_fee(self) -> None:
        state = state_with()
        apply(state, tx(max_fee_per_gas=8, max_priority_fee_per_gas=5, gas=21_000))
        assert state.balance(COINBASE) == 21_000

    def test_a_zero_transfer_creates_nothing(self) -> None:
        state = state_with()
        apply(state, tx(value=0))
        assert not state.exists(TARGET)
        assert TARGET not in state.touched()


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "kind", "text"),
        [
            ({"nonce": 1}, NonceTooHigh, "nonce too high: address .*, tx: 1 state: 0"),
            (
                {"max_fee_per_gas": 6, "max_priority_fee_per_gas": 0},
                FeeTooLow,
                "max fee per gas less than block base fee: address .*, maxFeePerGas: 6, baseFee: 7",
            ),
            (
                {"value": ETHER},
                InsufficientFunds,
                f"insufficient funds for gas \\* price \\+ value: address .* have {ETHER} want "
                f"{ETHER + 200_000 * 100}",
            ),
            ({"gas": 30_000_001}, GasLimitReached, "exceeds block gas limit"),
            ({"gas": 20_999}, InvalidTransaction, "intrinsic gas too low: have 20999, want 21000"),
            (
                {"data": b"\1" * 100, "gas": 24_999},
                InvalidTransaction,
                "insufficient gas for floor data gas cost: have 24999, want 25000",
            ),
            (
                {"max_priority_fee_per_gas": 101},
                InvalidTransaction,
                "max priority fee per gas higher than max fee per gas: address .*, "
                "maxPriorityFeePerGas: 101, maxFeePerGas: 100",
            ),
            (
                {"to": None, "data": b"\0" * 49_153, "gas": 10**6},
                InvalidTransaction,
                "max initcode size exceeded: code size 49153 limit 49152",
            ),
            (
                {"chain_id": 1},
                InvalidTransaction,
                "invalid chain id for signer: have 1 want 1337",
            ),
            (
                {"nonce": 2**64 - 1},
                InvalidTransaction,
                "nonce has max value: address .*, nonce: 18446744073709551615",
            ),
        ],
    )
    def test_wording(self, changes: dict[str, Any], kind: type[Exception], text: str) -> None:
        state = state_with()
        root = state.root
        with pytest.raises(kind, match=f"^{text}$"):
            apply(state, tx(**changes))
        assert state.seal().root == root

    def test_nonce_too_low(self) -> None:
        state = state_with(sender=GenesisAccount(balance=ETHER, nonce=2))
        with pytest.raises(NonceTooLow, match=r"nonce too low: address 0x.*, tx: 1 state: 2"):
            apply(state, tx(nonce=1))

    def test_gas_left_in_the_block(self) -> None:
        with pytest.raises(GasLimitReached, match=r"^gas limit reached$"):
            apply(state_with(), tx(), gas_available=199_999)

    def test_sender_with_code(self) -> None:
        state = state_with(sender=GenesisAccount(balance=ETHER, code=b"\x00"))
        with pytest.raises(InvalidTransaction, match="sender not an eoa"):
            apply(state, tx())

    def test_sender_with_a_delegation_is_fine(self) -> None:
        code = b"\xef\x01\x00" + TARGET
        state = state_with(sender=GenesisAccount(balance=ETHER, code=code))
        assert apply(state, tx()).success

    def test_a_legacy_transaction_without_chain_id(self) -> None:
        assert apply(state_with(), tx(type=0, chain_id=None)).success

    def test_static_checks_need_no_state(self) -> None:
        assert check_static(tx(), CHAIN) == (21_000, 21_000)
        with pytest.raises(InvalidTransaction):
            check_static(tx(gas=1), CHAIN)


class TestIntrinsicGas:
    def test_each_part(self) -> None:
        assert intrinsic_gas(tx()) == 21_000
        assert intrinsic_gas(tx(data=b"\0\1")) == 21_000 + 4 + 16
        assert floor_gas(tx(data=b"\0\1")) == 21_000 + 10 * 5
        assert intrinsic_gas(tx(to=None, data=b"\1" * 33)) == 53_000 + 33 * 16 + 4
        assert intrinsic_gas(tx(access_list=((TARGET, (1, 2)),))) == 21_000 + 2400 + 3800
        assert intrinsic_gas(tx(authorizations=(authorization(),))) == 46_000


def authorization(**changes: Any) -> Authorization:
    fields: dict[str, Any] = {"chain_id": CHAIN, "address": TARGET, "nonce": 0} | changes
    payload = rlp.encode([fields["chain_id"], fields["address"], fields["nonce"]])
    signature = AUTHORITY.sign_digest(keccak256(b"\x05" + payload))
    return Authorization(
        **fields,
        y_parity=signature[64],
        r=int.from_bytes(signature[:32], "big"),
        s=int.from_bytes(signature[32:64], "big"),
    )
