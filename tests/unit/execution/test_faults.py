"""What stock py-evm 0.12.1b1 gets wrong, or does dangerously slowly: each fault with its test."""

import subprocess
import sys
import time
from typing import Any

import pytest

from node.concurrency.interpreter import RECURSION_LIMIT, check_interpreter
from node.execution.evm.evm import Evm
from node.execution.evm.results import CallResult, TransactionResult
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.trie.errors import InsufficientFunds
from node.primitives import rlp
from node.primitives.basics import ZERO_HASH, Address, keccak256
from node.primitives.births import contract_address
from node.primitives.errors import InvalidTransaction, UserError
from node.primitives.keys import SigningKey
from node.primitives.transaction import Authorization, Transaction
from tests.support.deep_stack import run_with_stack

CHAIN = 1
ETHER = 10**18
KEY = SigningKey(b"\1" * 32)
TARGET = Address(b"\x77" * 20)
CONTEXT = BlockContext(
    chain_id=CHAIN,
    number=1,
    timestamp=1,
    coinbase=Address(b"\xc0" * 20),
    gas_limit=100_000_000,
    base_fee=7,
)


def tx(**changes: Any) -> Transaction:
    fields: dict[str, Any] = {
        "type": 2,
        "chain_id": CHAIN,
        "nonce": 0,
        "max_priority_fee_per_gas": 0,
        "max_fee_per_gas": 7,
        "gas": 1_000_000,
        "to": TARGET,
        "value": 0,
        "data": b"",
        "v": 0,
        "r": 1,
        "s": 1,
        "raw": b"",
        "sender": KEY.address,
    }
    return Transaction(**{**fields, **changes})


def state_of(accounts: dict[Address, GenesisAccount]) -> State:
    delta = build_genesis({KEY.address: GenesisAccount(balance=ETHER), **accounts})
    return State(delta.nodes.get, delta.root)


def apply(state: State, transaction: Transaction) -> TransactionResult:
    return Evm(CHAIN).apply_transaction(state, CONTEXT, transaction, gas_available=10**8)


def precompile(number: int, data: bytes, gas: int = 10_000_000) -> CallResult:
    state = state_of({})
    state.begin_transaction()
    return Evm(CHAIN).apply_call(
        state,
        CONTEXT,
        sender=KEY.address,
        to=Address(number.to_bytes(20, "big")),
        value=0,
        data=data,
        gas=gas,
        gas_price=0,
        origin=KEY.address,
    )


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


class TestKzg:
    POINT = b"\xc0" + bytes(47)  # infinity: the commitment to and the proof of the zero polynomial
    VALID = (
        bytes.fromhex("010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014")
        + word(5)
        + word(0)
        + POINT
        + POINT
    )

    @pytest.mark.slow
    def test_the_trusted_setup_is_not_loaded(self) -> None:
        """Loading it takes two seconds, for 50,000 gas: py-evm does so on every call."""
        first = precompile(0x0A, self.VALID)
        assert first.success
        assert first.gas_used == 50_000
        script = (
            "import sys; from node.execution.precompiles.kzg import verify_opening as verify; "
            f"assert verify({self.POINT!r}, bytes(32), bytes(32), {self.POINT!r}); "
            "assert 'ckzg' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", script], check=True)

    @pytest.mark.parametrize("at", [0, 63, 95, 100, 150])
    def test_a_changed_input_fails(self, at: int) -> None:
        data = bytearray(self.VALID)
        data[at] ^= 1
        result = precompile(0x0A, bytes(data))
        # z may be anything: the zero polynomial is zero everywhere
        assert result.success == (at == 63)

    def test_a_wrong_length_fails(self) -> None:
        assert not precompile(0x0A, self.VALID + b"\0").success


class TestModexp:
    @pytest.mark.parametrize(
        ("base", "exponent", "modulus", "result"),
        [
            (b"", b"", b"\x05", b"\x01"),
            (b"", b"", b"\x01", b"\x00"),
            (b"", b"\x02", b"\x05", b"\x00"),
            (b"\x03", b"", b"\x05", b"\x01"),
            (b"\x03", b"\x02", b"\x00\x05", b"\x00\x04"),
            (b"\x03", b"\x02", b"\x00", b"\x00"),
            (b"\x03", b"\x02", b"", b""),
        ],
    )
    def test_values(self, base: bytes, exponent: bytes, modulus: bytes, result: bytes) -> None:
        sizes = b"".join(word(len(part)) for part in (base, exponent, modulus))
        assert precompile(5, sizes + base + exponent + modulus).output == result

    @pytest.mark.parametrize("sizes", [(1 << 255, 1, 1), (1, 1 << 255, 1), (1, 1, 1 << 255)])
    def test_huge_sizes_run_out_of_gas(self, sizes: tuple[int, int, int]) -> None:
        result = precompile(5, b"".join(map(word, sizes)))
        assert (result.success, result.error) == (False, "out of gas")

    def test_a_huge_exponent_of_nothing_is_nothing(self) -> None:
        result = precompile(5, word(0) + word(1 << 255) + word(0))
        assert (result.success, result.output, result.gas_used) == (True, b"", 200)


class TestValidity:
    def test_floor_gas(self) -> None:
        with pytest.raises(InvalidTransaction, match="insufficient gas for floor data gas cost"):
            apply(state_of({}), tx(data=b"\1" * 1000, gas=21_000 + 40_000 - 1))

    def test_initcode_is_part_of_the_intrinsic_gas(self) -> None:
        want = 53_000 + 4 * 64 + 2 * 2
        with pytest.raises(InvalidTransaction, match=f"intrinsic gas too low: .* want {want}"):
            apply(state_of({}), tx(to=None, data=b"\0" * 64, gas=want - 1))

    def test_sender_with_code(self) -> None:
        state = state_of({KEY.address: GenesisAccount(balance=ETHER, code=b"\x00")})
        with pytest.raises(InvalidTransaction, match="sender not an eoa"):
            apply(state, tx())

    def test_tip_above_the_fee(self) -> None:
        with pytest.raises(InvalidTransaction, match="max priority fee per gas higher"):
            apply(state_of({}), tx(max_priority_fee_per_gas=8))

    def test_the_whole_fee_cap_must_be_there(self) -> None:
        # at the base fee the sender could pay: at the cap it could not
        state = state_of({KEY.address: GenesisAccount(balance=7 * 10**6)})
        with pytest.raises(InsufficientFunds):
            apply(state, tx(max_fee_per_gas=8))

    def test_a_refused_transaction_leaves_the_state(self) -> None:
        state = state_of({})
        root = state.root
        with pytest.raises(InvalidTransaction):
            apply(state, tx(value=ETHER))
        assert state.seal().root == root


class TestCreation:
    def test_onto_storage_collides(self) -> None:
        address = contract_address(KEY.address, 0)
        state = state_of({address: GenesisAccount(storage={1: 1}, balance=1)})
        result = apply(state, tx(to=None, data=b"\x00"))
        assert (result.success, result.error) == (False, "contract address collision")
        assert result.gas_used == 1_000_000
        assert state.storage(address, 1) == 1

    def test_opcode_onto_storage_collides(self) -> None:
        address = contract_address(TARGET, 1)
        code = bytes.fromhex("5f5f5ff05f5260205ff3")
        state = state_of(
            {
                TARGET: GenesisAccount(nonce=1, code=code),
                address: GenesisAccount(storage={1: 1}, balance=1),
            }
        )
        assert apply(state, tx()).output == word(0)

    def test_initcode_is_charged_once_in_a_self_call(self) -> None:
        # The sender delegates to code that CREATEs; it is caller and origin at once. py-evm takes the
        # frame of the creation for the origin's and charges its init code a second time.
        create = bytes.fromhex("60205f5ff000")
        item = signed_authorization(nonce=1)
        state = state_of({TARGET: GenesisAccount(nonce=1, code=create)})
        result = apply(state, tx(type=4, to=KEY.address, authorizations=(item,)))
        plain = state_of(
            {
                TARGET: GenesisAccount(nonce=1, code=create),
                KEY.address: GenesisAccount(balance=ETHER),
            }
        )
        direct = apply(plain, tx())
        # the difference: the authorization (25,000), less its refund for an account that is there
        assert result.success
        before_refund = direct.gas_used + 25_000
        assert result.gas_used == before_refund - min(12_500, before_refund // 5)


def signed_authorization(nonce: int) -> Authorization:
    payload = rlp.encode([rlp.int_to_bytes(CHAIN), TARGET, rlp.int_to_bytes(nonce)])
    signature = KEY.sign_digest(keccak256(b"\x05" + payload))
    return Authorization(
        chain_id=CHAIN,
        address=TARGET,
        nonce=nonce,
        y_parity=signature[64],
        r=int.from_bytes(signature[:32], "big"),
        s=int.from_bytes(signature[32:64], "big"),
    )


class TestBls:
    def test_a_pairing_is_fast(self) -> None:
        from py_arkworks_bls12381 import G1Point, G2Point

        def padded(raw: bytes) -> bytes:
            return b"".join(bytes(16) + raw[at : at + 48] for at in range(0, len(raw), 48))

        g1, g2 = G1Point(), G2Point()
        data = padded(g1.to_xy_bytes_be()) + padded(g2.to_xy_bytes_be())
        data += padded((-g1).to_xy_bytes_be()) + padded(g2.to_xy_bytes_be())
        started = time.perf_counter()
        result = precompile(0x0F, data)
        assert time.perf_counter() - started < 0.5
        assert result.output == word(1)
        assert result.gas_used == 37_700 + 2 * 32_600


class TestInterpreterMode:
    @pytest.mark.slow
    def test_optimised_python_is_refused(self) -> None:
        script = (
            "from node.concurrency.interpreter import check_interpreter\n"
            "from node.primitives.errors import UserError\n"
            "try:\n    check_interpreter()\n"
            "except UserError as error:\n    print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-O", "-c", script], capture_output=True, text=True, check=True
        )
        assert "python -O" in done.stdout

    def test_this_interpreter_is_accepted(self) -> None:
        check_interpreter()

    def test_a_slow_keccak_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("node.concurrency.interpreter.keccak_fast", len)
        with pytest.raises(UserError, match="pysha3"):
            check_interpreter()


class TestDepth:
    CODE = bytes.fromhex("5f5f5f5f5f305af1") + bytes.fromhex("5f5460010160005500")

    def test_1024_calls(self) -> None:
        """Each frame calls itself with all it may; the count of frames that returned is stored."""
        state = state_of({TARGET: GenesisAccount(nonce=1, code=self.CODE)})

        def run() -> CallResult:
            state.begin_transaction()
            return Evm(CHAIN).apply_call(
                state,
                CONTEXT,
                sender=KEY.address,
                to=TARGET,
                value=0,
                data=b"",
                gas=10**15,
                gas_price=0,
                origin=KEY.address,
            )

        result = run_with_stack(run)
        assert result.success
        assert state.storage(TARGET, 0) == 1025
        assert sys.getrecursionlimit() >= RECURSION_LIMIT

    def test_1024_creations(self) -> None:
        """Init code that creates from a copy of itself, down to where no gas or depth is left."""
        code = bytes.fromhex("385f5f39385f5ff000")
        state = state_of({TARGET: GenesisAccount(nonce=1, code=code)})

        def run() -> CallResult:
            state.begin_transaction()
            return Evm(CHAIN).apply_call(
                state,
                CONTEXT,
                sender=KEY.address,
                to=TARGET,
                value=0,
                data=b"",
                gas=10**15,
                gas_price=0,
                origin=KEY.address,
            )

        result = run_with_stack(run)
        assert result.success
        assert len(result.created) == 1024

    def test_an_exception_reaches_the_caller(self) -> None:
        def fail() -> None:
            raise InvalidTransaction("deep")

        with pytest.raises(InvalidTransaction, match="deep"):
            run_with_stack(fail)


def test_block_hashes_reach_back_256_blocks() -> None:
    code = bytes.fromhex("5f35405f5260205ff3")
    asked: list[int] = []

    def block_hash(number: int) -> bytes | None:
        asked.append(number)
        return keccak256(word(number)) if number != 800 else None

    context = BlockContext(
        chain_id=CHAIN,
        number=1000,
        timestamp=1,
        coinbase=Address(b"\xc0" * 20),
        gas_limit=10**8,
        base_fee=7,
        block_hash=block_hash,
    )
    state = state_of({TARGET: GenesisAccount(nonce=1, code=code)})

    def hash_of(number: int) -> bytes:
        state.begin_transaction()
        return (
            Evm(CHAIN)
            .apply_call(
                state,
                context,
                sender=KEY.address,
                to=TARGET,
                value=0,
                data=word(number),
                gas=100_000,
                gas_price=0,
                origin=KEY.address,
            )
            .output
        )

    assert hash_of(999) == keccak256(word(999))
    assert hash_of(744) == keccak256(word(744))
    assert hash_of(800) == ZERO_HASH
    assert [hash_of(n) for n in (743, 1000, 1 << 200)] == [ZERO_HASH] * 3
    assert asked == [999, 744, 800]
