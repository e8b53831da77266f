"""Contracts that every shard has, and what they create: one contract of an address, whoever makes it where."""

import pytest
from eth_abi import encode

from node.primitives.basics import keccak256
from node.primitives.births import Birth, create2_address
from node.primitives.messenger import is_everywhere
from node.primitives.placement import home_by_range
from node.primitives.predeploys import (
    CONSOLE,
    CREATE2_FACTORY,
    ERC1820_REGISTRY,
    MULTICALL3,
    PREDEPLOYS,
    SAFE_SINGLETON_FACTORY,
)

# as on other chains
CREATE2_CODE_HASH = "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989"
ERC1820_CODE_BYTES = 2501
GAS = 3_000_000


def created_by(factory, init, shard=None):
    """The first salt whose contract has its range on `shard`, and the contract's address."""
    for number in range(1000):
        salt = number.to_bytes(32, "big")
        address = create2_address(factory, salt, keccak256(init))
        if shard is None or home_by_range(address, 3) == shard:
            return salt, address
    raise AssertionError("no salt")


def selector(signature):
    return keccak256(signature.encode())[:4]


@pytest.mark.parametrize("here", range(3))
def test_every_shard_has_them_with_the_code_of_other_chains(make_world, here):
    state = make_world(here=here).chain.state()
    for address, code in PREDEPLOYS.items():
        assert is_everywhere(address)
        assert (state.code(address), state.nonce(address), state.balance(address)) == (code, 1, 0)
    assert keccak256(PREDEPLOYS[CREATE2_FACTORY]).hex() == CREATE2_CODE_HASH
    assert PREDEPLOYS[SAFE_SINGLETON_FACTORY] == PREDEPLOYS[CREATE2_FACTORY]


def test_one_shard_has_what_keeps_something_for_all(make_world):
    """Two registries would give two answers, one of them a wrong zero."""
    codes = [make_world(here=here).chain.state().code(ERC1820_REGISTRY) for here in range(3)]
    home = home_by_range(ERC1820_REGISTRY, 3)
    assert [len(code) for code in codes] == [
        ERC1820_CODE_BYTES * (here == home) for here in range(3)
    ]
    assert not is_everywhere(ERC1820_REGISTRY)


@pytest.mark.parametrize("here", range(3))
def test_a_factory_runs_on_the_senders_shard_and_creates_there(make_world, kit, here):
    world = make_world(here=here)
    alice, init = world.users[here][1], kit.initcode(kit.store)
    salt, address = created_by(CREATE2_FACTORY, init, shard=(here + 1) % 3)
    executed = world.make(alice.tx(CREATE2_FACTORY, 0, salt + init, GAS))
    assert ([r.status for r in executed.receipts], executed.sent) == ([1], ())
    birth = Birth(creator=CREATE2_FACTORY, salt=salt, init_hash=keccak256(init))
    assert (executed.requests.births, birth.address) == ((birth,), address)
    world.make(alice.tx(address, 0, (7).to_bytes(32, "big"), 100_000))
    assert world.chain.state().storage(address, 0) == 7
    # the second one finds it, as on any chain
    executed = world.make(alice.tx(CREATE2_FACTORY, 0, salt + init, GAS))
    assert ([r.status for r in executed.receipts], executed.requests.births) == ([0], ())


def test_what_another_shard_has_created_is_not_created_again(world, kit):
    init = kit.initcode(kit.store)
    salt, address = created_by(CREATE2_FACTORY, init, shard=2)
    world.beacon.homes[address] = 2  # also where that is its range: the beacon tells it
    executed = world.make(world.users[0][1].tx(CREATE2_FACTORY, 0, salt + init, GAS))
    assert ([r.status for r in executed.receipts], executed.requests.births) == ([0], ())
    assert not world.chain.state().has_code_or_nonce(address)


@pytest.mark.parametrize("range_of", range(3))
def test_of_two_that_were_created_at_once_the_beacons_first_stays(world, kit, range_of):
    """The other shard deletes its own, and the wei that it got go to the first."""
    alice, init = world.users[0][1], kit.initcode(kit.pay())
    salt, address = created_by(CREATE2_FACTORY, init, shard=range_of)
    world.make(alice.tx(CREATE2_FACTORY, 0, salt + init, GAS))
    world.make(alice.tx(address, 5, gas=100_000))
    assert world.balance(address) == 5
    world.beacon.homes[address] = 1
    executed = world.make(anchor=world.anchor(births=((address, 1),)))
    assert world.chain.state().account(address) is None
    assert [(s.message.to, s.message.dst, s.message.value) for s in executed.sent] == [
        (address, 1, 5)
    ]
    executed = world.make(anchor=world.anchor(births=((address, 1),)))  # nothing is left to do
    assert len(executed.block.items) == (1 if range_of == 0 else 0)


def test_what_it_has_created_goes_with_it(world, kit):
    """The beacon gives that to the shard of the first contract, whatever the range says."""
    alice, child_code = world.users[0][1], kit.initcode(kit.store)
    word = int.from_bytes(child_code.ljust(32, b"\0"), "big")
    create = kit.push(word) + bytes.fromhex("5f52") + kit.push(len(child_code)) + b"\x5f\x5f\xf0\0"
    init = kit.initcode(create)
    salt, address = created_by(CREATE2_FACTORY, init, shard=0)
    world.make(alice.tx(CREATE2_FACTORY, 0, salt + init, GAS))
    executed = world.make(alice.tx(address, gas=300_000))
    [child] = [made.address for made in executed.requests.births]
    world.beacon.homes |= {address: 1, child: 1}
    world.make(anchor=world.anchor(births=((address, 1), (child, 1))))
    state = world.chain.state()
    assert not state.has_code_or_nonce(address)
    assert not state.has_code_or_nonce(child)


def test_what_lives_here_stays_when_the_directory_hears_of_it(world, kit):
    alice, init = world.users[0][1], kit.initcode(kit.store)
    salt, address = created_by(CREATE2_FACTORY, init, shard=2)
    world.make(alice.tx(CREATE2_FACTORY, 0, salt + init, GAS))
    world.beacon.homes[address] = 0
    assert world.make(anchor=world.anchor(births=((address, 0),))).block.items == ()
    assert world.chain.state().has_code_or_nonce(address)


# ---------------------------------------------------------------------- Multicall3


def test_multicall_calls_each_and_says_what_came_back(world, kit):
    """Through a contract that keeps the hash of the answer: two calls that succeed, one that fails."""
    good, bad = world.deploy(kit.store), world.deploy(kit.revert)
    data = selector("aggregate3((address,bool,bytes)[])") + encode(
        ["(address,bool,bytes)[]"],
        [[(good, False, (9).to_bytes(32, "big")), (bad, True, b""), (CONSOLE, False, b"\1\2\3\4")]],
    )
    executed = world.make(world.users[0][1].tx(MULTICALL3, 0, data, 500_000))
    assert [r.status for r in executed.receipts] == [1]
    assert world.chain.state().storage(good, 0) == 9
    strict = data.replace(
        encode(["address", "bool"], [bad, True]), encode(["address", "bool"], [bad, False])
    )
    assert strict != data
    executed = world.make(world.users[0][1].tx(MULTICALL3, 0, strict, 500_000))
    assert [r.status for r in executed.receipts] == [0]


def test_multicall_passes_value_on_and_keeps_none(world, kit):
    contract, far = world.deploy(kit.pay()), world.users[1][1].address
    data = selector("aggregate3Value((address,bool,uint256,bytes)[])") + encode(
        ["(address,bool,uint256,bytes)[]"], [[(contract, False, 3, b""), (far, False, 4, b"")]]
    )
    alice = world.users[0][1]
    executed = world.make(alice.tx(MULTICALL3, 7, data, 500_000))
    assert world.balance(contract) == 3
    assert [(s.message.to, s.message.value) for s in executed.sent] == [(far, 4)]
    assert world.balance(MULTICALL3) == 0
    assert [r.status for r in world.make(alice.tx(MULTICALL3, 8, data, 500_000)).receipts] == [0]


def test_a_call_of_the_console_succeeds_and_stays(world, kit):
    alice = world.users[0][1]
    text = selector("log(string)") + encode(["string"], ["hello"])
    contract = world.deploy(kit.calls((CONSOLE, 0, text)))
    for to, data in ((contract, b""), (CONSOLE, text)):
        executed = world.make(alice.tx(to, 0, data, 200_000))
        assert ([r.status for r in executed.receipts], executed.sent) == ([1], ())


def test_no_predeploy_creates_by_its_nonce(world):
    """It differs by shard, so two shards could create two contracts of one address. CREATE is 0xf0."""
    for address, code in PREDEPLOYS.items():
        at, found = 0, set()
        while at < len(code):
            found.add(code[at])
            at += code[at] - 0x5E if 0x60 <= code[at] <= 0x7F else 1
        assert 0xF0 not in found, address.hex()


@pytest.mark.parametrize("fails", [False, True])
def test_a_block_of_a_development_network_keeps_what_contracts_said(make_world, kit, fails):
    """Also of what was undone: a text says most where something fails."""
    text = selector("log(string)") + encode(["string"], ["hello"])
    for dev_methods in (True, False):
        world = make_world(dev_methods=dev_methods)
        contract = world.deploy(kit.calls((CONSOLE, 0, text), end=kit.revert if fails else b"\0"))
        executed = world.make(world.users[0][1].tx(contract, 0, b"", 200_000))
        assert [r.status for r in executed.receipts] == [0 if fails else 1]
        assert executed.console == (((0, text),) if dev_methods else ())
        world.message(contract, gas=100_000)
        assert world.make().console == (((0, text),) if dev_methods else ())
