"""What web3.py sees of accounts on four shards in one eth_call: multicalls, quotes, calls without a recipient;
at past blocks, while a shard is away, and when it is back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import vyper
from eth_abi import decode, encode
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractLogicError, Web3RPCError

from node.primitives.predeploys import MULTICALL3
from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import (
    ask,
    call,
    deploy,
    send_and_wait,
    wait_for,
)

SHARDS = 4
AWAY = 2
SUPPLY = 10**24
ROOT = Path(__file__).parents[2]
SOURCES = {
    "token": ROOT / "examples" / "contracts" / "Token.vy",
    "pool": ROOT / "tests" / "cluster" / "contracts" / "Pool.vy",
    "router": ROOT / "tests" / "cluster" / "contracts" / "Router.vy",
}
RESULTS = "(bool,bytes)[]"
TRY_AGGREGATE = Web3.keccak(text="tryAggregate(bool,(address,bytes)[])")[:4]
AGGREGATE3 = Web3.keccak(text="aggregate3((address,bool,bytes)[])")[:4]
GET_ETH_BALANCE = Web3.keccak(text="getEthBalance(address)")[:4]

Call = tuple[str, bytes]


@dataclass(frozen=True)
class Dapp:
    """A token and a pool on each shard, and a router on the first."""

    network: Network
    tokens: list[Contract]
    pools: list[Contract]
    router: Contract


@pytest.fixture
def network(networks: SharedNetworks) -> Iterator[Network]:
    network = networks.shared(shards=SHARDS, validators=1)
    yield network
    network.invariants.check()


@pytest.fixture
def dapp(network: Network) -> Dapp:
    compiled: dict[str, Any] = {
        name: vyper.compile_code(path.read_text(), output_formats=["abi", "bytecode"])
        for name, path in SOURCES.items()
    }
    w3 = network.web3()
    accounts = [network.account(shard).signer for shard in range(SHARDS)]
    tokens = [
        deploy_with(w3, account, compiled["token"], f"Token {shard}", "TOK", SUPPLY + shard)
        for shard, account in enumerate(accounts)
    ]
    pools = [
        deploy_with(w3, account, compiled["pool"], 10**21, (2 + shard) * 10**21)
        for shard, account in enumerate(accounts)
    ]
    router = deploy(w3, accounts[0], compiled["router"])
    found = [network.home(contract.address) for contract in (*tokens, *pools, router)]
    assert found == [*range(SHARDS), *range(SHARDS), 0]
    return Dapp(network, tokens, pools, router)


def deploy_with(w3: Web3, account: Any, compiled: dict[str, Any], *arguments: Any) -> Contract:
    factory = w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
    data = factory.constructor(*arguments).data_in_transaction
    return deploy(w3, account, {"abi": compiled["abi"], "bytecode": data})


def multicall(w3: Web3, calls: Sequence[Call], block: Any = "latest") -> list[Any]:
    """What the calls gave, by both ways of asking, which agree."""
    rows = [(target, True, data) for target, data in calls]
    asked = (
        AGGREGATE3 + encode(["(address,bool,bytes)[]"], [rows]),
        TRY_AGGREGATE + encode(["bool", "(address,bytes)[]"], [False, calls]),
    )
    first, second = (
        decode(
            [RESULTS],
            w3.eth.call({"to": Web3.to_checksum_address(MULTICALL3), "data": data}, block),
        )
        for data in map(Web3.to_hex, asked)
    )
    assert first == second
    return [int.from_bytes(output, "big") if success else output for success, output in first[0]]


def everything(dapp: Dapp) -> list[Call]:
    """The balance of tokens and of wei of one account on each shard."""
    owners = [dapp.network.account(shard).address for shard in range(SHARDS)]
    tokens = [
        (token.address, bytes.fromhex(token.encode_abi("balanceOf", [owner])[2:]))
        for token, owner in zip(dapp.tokens, owners, strict=True)
    ]
    wei = [
        (Web3.to_checksum_address(MULTICALL3), GET_ETH_BALANCE + encode(["address"], [owner]))
        for owner in owners
    ]
    return [*tokens, *wei]


def one_by_one(dapp: Dapp, block: Any) -> list[int]:
    """The same by a request each."""
    w3 = dapp.network.web3()
    owners = [dapp.network.account(shard).address for shard in range(SHARDS)]
    tokens = [
        token.functions.balanceOf(owner).call(block_identifier=block)
        for token, owner in zip(dapp.tokens, owners, strict=True)
    ]
    return [*tokens, *(w3.eth.get_balance(owner, block) for owner in owners)]


def test_a_multicall_over_four_shards_while_one_of_them_goes_and_comes_back(dapp: Dapp) -> None:
    network = dapp.network
    calls, past = everything(dapp), network.web3().eth.block_number
    before = one_by_one(dapp, past)
    assert before[:SHARDS] == [SUPPLY + shard for shard in range(SHARDS)]
    for shard, token in enumerate(dapp.tokens):
        to = network.account((shard + 1) % SHARDS).address
        data = token.encode_abi("transfer", [to, 5])
        send_and_wait(
            network.web3(), network.account(shard).signer, to=token.address, data=data, gas=120_000
        )
    after = one_by_one(dapp, "latest")
    assert before != after
    for node in network.nodes:
        w3 = network.web3(node=node.name)
        assert multicall(w3, calls) == after
        assert multicall(w3, calls, past) == before

    network.faults.kill(f"s{AWAY}v0")
    near = [node for node in network.nodes if node.name != f"s{AWAY}v0"]
    for node in near:
        for block in ("latest", hex(past)):
            data = AGGREGATE3 + encode(
                ["(address,bool,bytes)[]"], [[(t, True, d) for t, d in calls]]
            )
            request = {"to": Web3.to_hex(MULTICALL3), "data": Web3.to_hex(data)}
            error = ask(node.rpc, "eth_call", [request, block])["error"]
            assert error["code"] == -32002
            assert f"shard {AWAY} is unavailable" in error["message"]
        others = [each for n, each in enumerate(calls) if n % SHARDS != AWAY]
        expected = [each for n, each in enumerate(after) if n % SHARDS != AWAY]
        assert multicall(network.web3(node=node.name), others) == expected

    network.faults.heal()
    for node in network.nodes:
        w3 = network.web3(node=node.name)
        wait_for(lambda w3=w3: answers(w3, calls), f"{node.name} to reach all shards")  # type: ignore[misc]
        assert multicall(w3, calls) == after
        assert multicall(w3, calls, past) == before


def answers(w3: Web3, calls: Sequence[Call]) -> bool:
    try:
        multicall(w3, calls)
    except Web3RPCError:
        return False
    return True


def test_quotes_over_pools_of_other_shards(dapp: Dapp) -> None:
    network = dapp.network
    pools = [pool.address for pool in dapp.pools] * 2
    amount, expected = 10**18, [10**18]
    for index in range(len(pools)):
        fee = amount * 997
        amount = fee * (2 + index % SHARDS) * 10**21 // (10**21 * 1000 + fee)
        expected.append(amount)
    for node in network.nodes:
        router = network.web3(node=node.name).eth.contract(dapp.router.address, abi=dapp.router.abi)
        assert router.functions.amounts_out(10**18, pools).call() == expected
    far = dapp.pools[AWAY].address
    reason = f"{far} lives on shard {AWAY}; reach it with MESSENGER.send"
    with pytest.raises(ContractLogicError, match=reason):
        dapp.router.functions.drain(far).call()
    with pytest.raises(ContractLogicError, match=reason):
        dapp.router.functions.drain(far).estimate_gas()


def test_a_call_without_a_recipient_reads_every_shard(dapp: Dapp) -> None:
    """As viem's deployless calls: init code creates the contract, calls it and returns what it said."""
    owner = dapp.network.account(3).address
    for node in dapp.network.nodes:
        w3 = dapp.network.web3(node=node.name)
        for shard, token in enumerate(dapp.tokens):
            data = bytes.fromhex(token.encode_abi("balanceOf", [owner])[2:])
            found = w3.eth.call({"data": Web3.to_hex(init_code(token.address, data))})
            expected = token.functions.balanceOf(owner).call()
            assert int.from_bytes(found, "big") == expected, shard


def init_code(to: str, data: bytes) -> bytes:
    """Init code that creates a contract which passes calls on to `to`, and returns what `data` gives there."""
    passes = "365f5f375f5f365f73" + to[2:] + "5afa503d5f5f3e3d5ff3"
    created = bytes.fromhex(f"60{len(passes) // 2:02x}8060095f395ff3" + passes)
    create = in_memory(created) + bytes.fromhex(f"60{len(created):02x}5f5ff0")
    ask_it = in_memory(data) + bytes.fromhex(f"5f5f60{len(data):02x}5f845afa50")
    return create + ask_it + bytes.fromhex("3d5f5f3e3d5ff3")


def in_memory(data: bytes) -> bytes:
    """Code that stores `data` from the first byte of memory on."""
    return b"".join(
        b"\x7f" + data[at : at + 32].ljust(32, b"\0") + b"\x60" + bytes([at]) + b"\x52"
        for at in range(0, len(data), 32)
    )


def test_proofs_at_every_node(dapp: Dapp) -> None:
    network = dapp.network
    block = hex(network.web3().eth.block_number)
    for token in dapp.tokens:
        proofs = [
            call(node.rpc, "eth_getProof", [token.address, ["0x0"], block])
            for node in network.nodes
        ]
        assert all(proof == proofs[0] for proof in proofs)
        assert proofs[0]["codeHash"] == Web3.to_hex(
            Web3.keccak(network.web3().eth.get_code(token.address))
        )
