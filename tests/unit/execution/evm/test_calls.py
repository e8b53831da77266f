"""Contracts, delegations, calls at transaction level and the system calls of a block."""

from dataclasses import replace
from typing import Any

import pytest

from node.execution.evm.evm import Evm
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis, genesis_alloc_system
from node.execution.state.state import State
from node.execution.state.system_contracts import BEACON_ROOTS_ADDRESS, HISTORY_ADDRESS
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, keccak256
from node.primitives.births import Birth, contract_address
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

STORE_CALLER = bytes.fromhex("335f55")  # sstore(0, caller)
LOG_AND_STOP = bytes.fromhex("602a5f525f60205fa1")  # log1(mem[0:32] = 42, topic 0)
REVERT_WITH_DATA = bytes.fromhex("602a5f5260205ffd")


def init_code(runtime: bytes) -> bytes:
    """Init code that returns `runtime`."""
    size = len(runtime).to_bytes(2, "big")
    return bytes.fromhex("61") + size + bytes.fromhex("80600a5f395ff3") + runtime


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


def contract(code: bytes, **fields: Any) -> GenesisAccount:
    return GenesisAccount(nonce=1, code=code, **fields)


def apply(state: State, transaction: Transaction, **options: Any) -> Any:
    options.setdefault("gas_available", 30_000_000)
    return Evm(CHAIN).apply_transaction(state, block(), transaction, **options)


def total(state: State, *addresses: Address) -> int:
    return sum(state.balance(address) for address in (SENDER, COINBASE, TARGET, OTHER, *addresses))


class TestContracts:
    def test_creation(self) -> None:
        state = state_with()
        result = apply(state, tx(to=None, data=init_code(STORE_CALLER), value=3))
        address = contract_address(SENDER, 0)
        assert result.success
        assert result.contract_address == address
        assert result.created == (Birth(creator=SENDER, nonce=0),)
        assert result.created[0].address == address
        assert state.code(address) == STORE_CALLER
        assert (state.balance(address), state.nonce(address)) == (3, 1)

    def test_failed_creation(self) -> None:
        state = state_with()
        result = apply(state, tx(to=None, data=bytes.fromhex("fe"), value=3))
        assert not result.success
        assert result.contract_address is None
        assert result.created == ()
        assert (result.gas_used, result.error) == (200_000, "invalid opcode: 0xfe")
        assert not state.exists(contract_address(SENDER, 0))

    def test_logs_and_output(self) -> None:
        state = state_with(target=contract(LOG_AND_STOP))
        result = apply(state, tx())
        (log,) = result.logs
        assert log.address == TARGET
        assert log.topics == (b"\0" * 32,)
        assert log.data == (42).to_bytes(32, "big")

    def test_revert_gives_its_reason_and_returns_gas(self) -> None:
        state = state_with(target=contract(REVERT_WITH_DATA))
        result = apply(state, tx(value=9))
        assert (result.success, result.error) == (False, "execution reverted")
        assert result.output == (42).to_bytes(32, "big")
        assert result.gas_used < 22_000
        assert state.balance(TARGET) == 0

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("56", "stack underflow (0 <=> 1)"),
            ("600456", "invalid jump destination"),
            ("60205f5f3e", "return data out of bounds"),
            ("0c", "invalid opcode: 0xc"),
            ("605b600156", "invalid jump destination"),  # into the data of a push
            ("5b5f56", "out of gas"),
            ("60016340000000" + "52", "out of gas"),
            ("5f5f5f5f61ffff61ffff5af1" + "fe", "invalid opcode: 0xfe"),
            ("5b80600057", "stack underflow (0 <=> 1)"),
        ],
    )
    def test_failures(self, code: str, error: str) -> None:
        state = state_with(target=contract(bytes.fromhex(code)))
        result = apply(state, tx())
        assert not result.success
        assert result.gas_used == 200_000
        assert result.error == error

    def test_stack_overflow(self) -> None:
        state = state_with(target=contract(bytes.fromhex("5b5f5f56")))  # push, push, jump to 0
        result = apply(state, tx(gas=10**6))
        assert result.error == "stack limit reached 1024 (1023)"

    def test_static_calls_cannot_write(self) -> None:
        call = bytes.fromhex("5f5f5f5f73") + OTHER + bytes.fromhex("5afa5f5260205ff3")
        state = state_with(target=contract(call), other=contract(STORE_CALLER))
        result = apply(state, tx(gas=10**6))
        assert result.output == b"\0" * 32
        assert state.storage(OTHER, 0) == 0


class TestSelfDestruct:
    def test_of_an_old_contract_only_moves_the_balance(self) -> None:
        code = bytes.fromhex("73") + OTHER + b"\xff"
        state = state_with(target=contract(code, balance=50))
        before = total(state)
        result = apply(state, tx())
        assert (state.balance(TARGET), state.balance(OTHER)) == (0, 50)
        assert state.code(TARGET) == code
        assert before - total(state) == result.burned

    def test_of_a_new_contract_to_itself_burns(self) -> None:
        state = state_with()
        before = total(state)
        result = apply(state, tx(to=None, data=bytes.fromhex("30ff"), value=40))
        address = contract_address(SENDER, 0)
        assert result.success
        assert [birth.kept for birth in result.created] == [False]
        assert not state.exists(address)
        assert before - total(state, address) == result.burned
        assert result.burned == 40 + BASE_FEE * result.gas_used

    def test_what_arrives_after_it_burns_too(self) -> None:
        # the creation destroys itself to OTHER; the creator then sends it 6 wei more
        init = bytes.fromhex("73") + OTHER + b"\xff"
        code = (
            bytes.fromhex("75")
            + init
            + bytes.fromhex("5f52")
            + bytes.fromhex("6016600a6004f0")
            + bytes.fromhex("5f5f5f5f600685")
            + bytes.fromhex("5af100")
        )
        state = state_with(target=contract(code, balance=10))
        before = total(state)
        result = apply(state, tx(gas=10**6))
        assert result.success
        assert state.balance(OTHER) == 4
        assert before - total(state) == result.burned == 6 + BASE_FEE * result.gas_used

    def test_a_reverted_one_burns_nothing(self) -> None:
        call = bytes.fromhex("5f5f5f5f5f73") + OTHER + bytes.fromhex("5af15f5ffd")
        state = state_with(target=contract(call), other=contract(bytes.fromhex("30ff"), balance=3))
        result = apply(state, tx())
        assert not result.success
        assert result.burned == BASE_FEE * result.gas_used
        assert state.balance(OTHER) == 3


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


class TestBounds:
    @pytest.mark.parametrize(("size", "fits"), [(24_576, True), (24_577, False)])
    def test_code_has_a_largest_size(self, size: int, fits: bool) -> None:
        init = b"\x61" + size.to_bytes(2, "big") + bytes.fromhex("5ff3")
        result = apply(state_with(), tx(to=None, data=init, gas=10_000_000))
        assert result.success == fits

    def test_data_costs_its_floor(self) -> None:
        """EIP-7623: whoever only brings data pays for it as for data."""
        data = b"\1" * 1000
        assert apply(state_with(), tx(data=data)).gas_used == 21_000 + 40 * len(data)


class TestDelegation:
    def run(self, *items: Authorization, **options: Any) -> tuple[State, Any]:
        state = state_with(target=contract(STORE_CALLER), authority=GenesisAccount(balance=1))
        delegated = tx(type=4, to=AUTHORITY.address, authorizations=items, gas=300_000)
        return state, apply(state, delegated, **options)

    def test_the_authority_runs_the_target(self) -> None:
        state, result = self.run(authorization())
        assert result.success
        assert state.code(AUTHORITY.address) == b"\xef\x01\x00" + TARGET
        assert state.nonce(AUTHORITY.address) == 1
        assert state.storage(AUTHORITY.address, 0) == int.from_bytes(SENDER, "big")
        assert AUTHORITY.address in state.touched()

    @pytest.mark.parametrize(
        "changes", [{"chain_id": 1}, {"nonce": 1}, {"nonce": 2**64 - 1}], ids=str
    )
    def test_invalid_ones_are_skipped(self, changes: dict[str, int]) -> None:
        state, result = self.run(authorization(**changes))
        assert result.success
        assert state.code(AUTHORITY.address) == b""

    def test_an_old_one_does_not_count_again(self) -> None:
        state, result = self.run(authorization(), authorization(address=OTHER))
        assert result.success
        assert state.code(AUTHORITY.address) == b"\xef\x01\x00" + TARGET
        assert state.nonce(AUTHORITY.address) == 1

    def test_the_zero_address_clears(self) -> None:
        state, _ = self.run(authorization(), authorization(nonce=1, address=Address(b"\0" * 20)))
        assert state.code(AUTHORITY.address) == b""
        assert state.nonce(AUTHORITY.address) == 2


class TestCalls:
    def call(self, state: State, **changes: Any) -> Any:
        fields: dict[str, Any] = {
            "sender": SENDER,
            "to": TARGET,
            "value": 0,
            "data": b"",
            "gas": 100_000,
            "gas_price": 9,
            "origin": OTHER,
        }
        state.begin_transaction()
        return Evm(CHAIN).apply_call(state, block(), **{**fields, **changes})

    def test_value_moves_with_success(self) -> None:
        state = state_with(target=contract(STORE_CALLER))
        result = self.call(state, value=5)
        assert result.success
        assert state.balance(TARGET) == 5
        assert state.balance(SENDER) == ETHER - 5
        assert state.storage(TARGET, 0) == int.from_bytes(SENDER, "big")
        assert result.gas_used == 2 + 2 + 22_100

    def test_value_stays_with_failure(self) -> None:
        state = state_with(target=contract(REVERT_WITH_DATA))
        result = self.call(state, value=5)
        assert (result.success, result.error) == (False, "execution reverted")
        assert state.balance(TARGET) == 0
        assert state.balance(SENDER) == ETHER

    def test_a_sender_without_the_value(self) -> None:
        state = state_with()
        result = self.call(state, value=ETHER + 1)
        assert (result.success, result.gas_used) == (False, 0)
        assert result.error == "insufficient balance for transfer"

    def test_origin_and_price_are_seen(self) -> None:
        code = bytes.fromhex("325f523a60205260405ff3")
        result = self.call(state_with(target=contract(code)))
        assert result.output == OTHER.rjust(32, b"\0") + (9).to_bytes(32, "big")

    def test_refunds_are_capped_at_a_fifth(self) -> None:
        state = state_with(target=contract(bytes.fromhex("5f5f55"), storage={0: 1}))
        result = self.call(state)
        assert result.gas_used == 5004 - 5004 // 5

    def test_a_delegation_is_followed(self) -> None:
        state = state_with(target=contract(b"\xef\x01\x00" + OTHER), other=contract(STORE_CALLER))
        assert self.call(state).success
        assert state.storage(TARGET, 0) != 0
        assert state.storage(OTHER, 0) == 0


class TestBeginBlock:
    def test_parent_root_and_hash_are_stored(self) -> None:
        delta = build_genesis(genesis_alloc_system())
        state = State(delta.nodes.get, delta.root)
        Evm(CHAIN).begin_block(state, block())
        assert state.storage(HISTORY_ADDRESS, 9) == int.from_bytes(keccak256(b"9"), "big")
        assert state.storage(BEACON_ROOTS_ADDRESS, 1000) == 1000
        assert state.storage(BEACON_ROOTS_ADDRESS, 1000 + 8191) == int.from_bytes(
            b"\xbb" * 32, "big"
        )

    def test_without_the_contracts_nothing_happens(self) -> None:
        state = state_with()
        root = state.root
        Evm(CHAIN).begin_block(state, block())
        assert state.seal().root == root
