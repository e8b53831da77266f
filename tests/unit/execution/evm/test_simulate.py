"""eth_call and eth_estimateGas."""

from dataclasses import replace

import pytest

from node.execution.evm.evm import Evm
from node.execution.evm.simulate import Credit, SimulatedCall, estimate_gas, simulate
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.trie.errors import ExecutionFailed, FeeTooLow, InsufficientFunds
from node.primitives.basics import Address
from node.primitives.births import contract_address
from node.primitives.errors import InvalidTransaction
from node.primitives.fields import U256

SENDER, TARGET = Address(b"\x11" * 20), Address(b"\x22" * 20)
CONTEXT = BlockContext(
    chain_id=1,
    number=1,
    timestamp=1,
    coinbase=Address(b"\xc0" * 20),
    gas_limit=30_000_000,
    base_fee=1000,
)
EVM = Evm(1)
CAP = 30_000_000


def opener(code: bytes = b"", balance: int = 0) -> State:
    delta = build_genesis(
        {
            TARGET: GenesisAccount(nonce=1, code=code),
            SENDER: GenesisAccount(nonce=5, balance=balance),
        }
    )
    return State(delta.nodes.get, delta.root)


CALL = SimulatedCall(sender=SENDER, to=TARGET, gas=CAP)


def test_a_call_without_price_needs_no_balance() -> None:
    code = bytes.fromhex("485f523a60205260405ff3")  # base fee and gas price
    result = simulate(EVM, opener(code), CONTEXT, CALL)
    assert result.success
    assert result.output == b"\0" * 64
    assert result.gas_used > 21_000


def test_a_priced_call_sees_the_base_fee() -> None:
    code = bytes.fromhex("485f5260205ff3")
    call = replace(CALL, gas_price=2000)
    result = simulate(EVM, opener(code, balance=10**18), CONTEXT, call)
    assert int.from_bytes(result.output, "big") == 1000
    with pytest.raises(InsufficientFunds):
        simulate(EVM, opener(code), CONTEXT, call)


def test_a_price_under_the_base_fee() -> None:
    call = replace(CALL, gas_price=CONTEXT.base_fee - 1)
    with pytest.raises(InvalidTransaction, match="max fee per gas less than block base fee"):
        simulate(EVM, opener(balance=10**18), CONTEXT, call)


def test_what_departs_is_priced_by_the_dearer_shard() -> None:
    """What its sender has here does not count: it pays where it lives."""
    state, rich = opener(bytes.fromhex("485f5260205ff3")), U256(10**18)
    for base_fee, price in ((999, 1000), (2000, 2000)):
        call = replace(
            CALL, gas_price=U256(price), credit=Credit(balance=rich, base_fee=U256(base_fee))
        )
        assert int.from_bytes(simulate(EVM, state, CONTEXT, call).output, "big") == 1000
        with pytest.raises(FeeTooLow, match=f"baseFee: {price}$"):
            simulate(EVM, state, CONTEXT, replace(call, gas_price=U256(price - 1)))
        with pytest.raises(InsufficientFunds, match="have 0 want"):
            simulate(EVM, opener(balance=10**18), CONTEXT, replace(call, credit=Credit()))
    free = replace(CALL, credit=Credit())
    assert int.from_bytes(simulate(EVM, state, CONTEXT, free).output, "big") == 0


def test_value_must_be_there() -> None:
    with pytest.raises(InsufficientFunds, match="have 0 want 1"):
        simulate(EVM, opener(), CONTEXT, replace(CALL, value=1))


def test_gas_under_the_intrinsic_gas() -> None:
    with pytest.raises(InvalidTransaction, match="intrinsic gas too low: have 1, want 21000"):
        simulate(EVM, opener(), CONTEXT, replace(CALL, gas=1))
    with pytest.raises(InvalidTransaction, match="floor data gas"):
        simulate(EVM, opener(), CONTEXT, replace(CALL, data=b"\1" * 100, gas=22_700))


def test_a_creation_uses_the_senders_nonce() -> None:
    result = simulate(EVM, opener(), CONTEXT, replace(CALL, to=None, data=b"\x00"))
    assert [birth.address for birth in result.created] == [contract_address(SENDER, 5)]
    with pytest.raises(InvalidTransaction, match="max initcode size exceeded"):
        simulate(EVM, opener(), CONTEXT, replace(CALL, to=None, data=b"\0" * 49_153))


def test_a_revert_gives_its_reason() -> None:
    result = simulate(EVM, opener(bytes.fromhex("60015f5260205ffd")), CONTEXT, CALL)
    assert (result.success, result.error) == (False, "execution reverted")
    assert result.output[-1] == 1


def estimated(code: bytes, **changes: object) -> int:
    call = replace(CALL, gas=0, **changes)  # type: ignore[arg-type]
    return estimate_gas(EVM, lambda: opener(code, balance=10**24), CONTEXT, call, CAP)


class TestEstimate:
    @pytest.mark.parametrize(
        "code",
        [
            "",
            "5f5f55",
            "60015f55",
            # calls itself with 63/64 of its gas: the callee stores three words, the caller needs none
            "3330146014575f5f5f5f5f305af1601257fe5b005b60015f556001600155600160025500",
            # fails unless more than 35,000 gas are left, and uses next to none
            "5a6188b810600957fe5b00",
        ],
    )
    def test_the_estimate_is_the_least_that_works(self, code: str) -> None:
        raw = bytes.fromhex(code)
        gas = estimated(raw)

        def works(limit: int) -> bool:
            call = replace(CALL, gas=limit)
            try:
                return simulate(EVM, opener(raw, balance=10**24), CONTEXT, call).success
            except InvalidTransaction:
                return False

        assert works(gas)
        assert not works(gas - 1)

    def test_a_transfer(self) -> None:
        assert estimated(b"", value=5) == 21_000

    def test_data_costs_its_floor(self) -> None:
        assert estimated(b"", data=b"\1" * 100) == 25_000

    def test_what_always_fails(self) -> None:
        with pytest.raises(ExecutionFailed, match="execution reverted") as caught:
            estimated(bytes.fromhex("60015f5260205ffd"))
        assert caught.value.output == (1).to_bytes(32, "big")

    def test_the_callers_own_limit_and_funds_bound_it(self) -> None:
        loop = bytes.fromhex("5b5f56")
        with pytest.raises(ExecutionFailed, match=r"^gas required exceeds allowance \(50000\)$"):
            estimate_gas(EVM, lambda: opener(loop), CONTEXT, replace(CALL, gas=50_000), CAP)
        with pytest.raises(ExecutionFailed, match=r"^gas required exceeds allowance \(10000\)$"):
            estimate_gas(
                EVM,
                lambda: opener(b"", balance=10**7),
                CONTEXT,
                replace(CALL, gas=0, gas_price=1000),
                CAP,
            )
