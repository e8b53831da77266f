"""eth_createAccessList."""

from dataclasses import replace

from node.execution.evm.evm import Evm
from node.execution.evm.simulate import SimulatedCall, simulate
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.tracers.access_list import create_access_list
from node.primitives.basics import Address
from node.primitives.births import contract_address
from node.primitives.transaction import AccessList

EVM = Evm(1)
SENDER, TARGET, OTHER = (Address(bytes([n]) * 20) for n in (0x11, 0x22, 0x33))
CONTEXT = BlockContext(
    chain_id=1,
    number=1,
    timestamp=1,
    coinbase=Address(b"\xc0" * 20),
    gas_limit=30_000_000,
    base_fee=0,
)
CALL = SimulatedCall(sender=SENDER, to=TARGET, gas=1_000_000)


def opener(code: str) -> State:
    delta = build_genesis({TARGET: GenesisAccount(nonce=1, code=bytes.fromhex(code))})
    return State(delta.nodes.get, delta.root)


def created(code: str, call: SimulatedCall = CALL) -> tuple[AccessList, int, str | None]:
    return create_access_list(EVM, lambda: opener(code), CONTEXT, call)


def test_sender_recipient_and_precompiles_are_left_out() -> None:
    # balance of: the caller, itself, identity, OTHER
    found = created(f"333150303150600431507 3{OTHER.hex()}3150".replace(" ", ""))
    assert found[0] == ((OTHER, ()),)
    assert found[2] is None


def test_slots_bring_their_account() -> None:
    listed, gas, error = created("60075450600160095500")
    assert listed == ((TARGET, (7, 9)),)
    assert error is None
    call = replace(CALL, access_list=listed)
    assert simulate(EVM, opener("60075450600160095500"), CONTEXT, call).gas_used == gas


def test_what_was_given_is_kept() -> None:
    given: AccessList = ((OTHER, (1,)), (SENDER, ()))
    listed = created("60075450", replace(CALL, access_list=given))[0]
    assert listed == ((OTHER, (1,)), (TARGET, (7,)))


def test_it_is_repeated_until_nothing_is_new() -> None:
    # sload(0) costs 2100 when cold: only then slot 1, else slot 2 is read
    code = "5a5f54505a900361080010601857600254505000" + "00" * 4 + "5b6001545000"
    listed = created(code)[0]
    assert listed == ((TARGET, (0, 1, 2)),)


def test_a_failing_call_has_a_list_too() -> None:
    listed, gas, error = created("60075450fe")
    assert listed == ((TARGET, (7,)),)
    assert (gas, error) == (CALL.gas, "invalid opcode: 0xfe")


def test_a_creation() -> None:
    init = bytes.fromhex("60075450" + "3031" + "00")
    listed = created("", replace(CALL, to=None, data=init))[0]
    assert listed == ((contract_address(SENDER, 0), (7,)),)
