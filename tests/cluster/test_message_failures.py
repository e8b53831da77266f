"""What users of other sharded chains complain of, shown not to happen here. Each test prints the story of its
message, as `atoll trace` tells it.

- A debit with no receipt anywhere, and no way to see where a message is: the first test.
- Refunds stranded on the wrong shard: the second test.
- A token that is burned on one shard and minted on none: the third test; examples/token is the token, and
  test_examples.py runs what a user runs.
- Messages that are delivered twice, or that overtake each other: test_messages_under_kills.py.
- Queues without bound: test_destination_away.py.
- Callbacks that never come, or whose revert keeps the value: test_messages.py.
- Proposers that withhold arrivals: test_messages.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import vyper
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

from node.primitives.basics import Address
from node.primitives.placement import home_by_range
from node.testing import Network
from tests.cluster.support.client import (
    call,
    connect,
    deploy,
    receipt,
    send,
    send_and_wait,
    wait_for,
)
from tests.cluster.support.following import below, shape
from tests.cluster.support.messages import GAS, NO_CALLBACK, PRICE, REPLY_GAS
from tests.cluster.support.network import ROOT, atoll, names_of

ETHER = 10**18
SOURCE, DESTINATION = 0, 1


@contextmanager
def without_quorum(network: Network) -> Iterator[None]:
    """Half of the destination is gone: it stands still. The beacon and the source go on."""
    network.faults.kill("s1v2", "s1v3")
    yield
    network.up()


def tree(network: Network, tx_hash: Any, *, complete: bool = True) -> dict[str, Any]:
    """The root of what a transaction caused, from any node; printed as a user sees it."""

    def found() -> Any:
        document = call(network.node(f"s{SOURCE}v0").rpc, "atoll_trace", [Web3.to_hex(tx_hash)])
        return document if document and document["complete"] >= complete else None

    document = wait_for(found, "the story of the transaction")
    print(atoll("trace", Web3.to_hex(tx_hash), "--dir", network.directory).stdout)
    return dict(document["root"])


def test_a_debit_is_seen_wherever_it_is(two_by_four: Network) -> None:
    network, w3 = two_by_four, two_by_four.web3(node=f"s{SOURCE}v0")
    source = connect(network.shard(SOURCE).rpc)
    alice, bob = (
        network.account(SOURCE, 3).signer,
        network.new_account(DESTINATION, ether=0).address,
    )
    before = source.eth.get_balance(alice.address)

    with without_quorum(network):
        tx_hash = send(w3, alice, to=bob, value=7 * ETHER, gas=30_000)
        wait_for(lambda: source.eth.get_balance(alice.address) < before - 7 * ETHER, "the debit")
        wait_for(
            lambda: tree(network, tx_hash, complete=False)["children"][0]["status"] == "finalised",
            "the beacon to have the message",
        )
        # it is in no receipt of the network yet, and nobody is told that it is done
        assert (
            call(
                network.node(f"s{SOURCE}v0").rpc, "eth_getTransactionReceipt", [tx_hash.to_0x_hex()]
            )
            is None
        )
        assert w3.eth.get_transaction(tx_hash)["blockHash"] is None
        for name in set(names_of(network)) - {"s1v2", "s1v3"}:
            document = call(network.node(name).rpc, "atoll_trace", [tx_hash.to_0x_hex()])
            (message,) = document["root"]["children"]
            assert (document["complete"], document["underWay"]) == (False, 1)
            assert (message["status"], message["to"]) == ("finalised", bob.lower())
            story = call(network.node(name).rpc, "atoll_message", [message["id"]])
            assert int(story["value"], 16) == 7 * ETHER
            lanes = call(network.node(name).rpc, "atoll_lanes")
            lane = next(lane for lane in lanes if lane["src"] == SOURCE)
            assert lane["oldest"]["id"] == message["id"]
        # nor is it missing: the audit has it on its way
        audit = call(network.node(f"s{SOURCE}v0").rpc, "atoll_audit")
        assert audit["balanced"]
        assert int(audit["inFlight"], 16) > 7 * ETHER

    done = receipt(w3, tx_hash)
    assert (done["status"], done["gasUsed"]) == (1, 21_000)
    assert w3.eth.get_balance(bob) == 7 * ETHER
    root = tree(network, tx_hash)
    credit = ("CREDIT", "ok", SOURCE, [])  # of the gas
    assert shape(root) == (
        "TRANSACTION",
        "departed",
        SOURCE,
        [("CALL", "ok", DESTINATION, [credit])],
    )


def born_away(network: Network, account: LocalAccount, compiled: dict[str, Any]) -> Contract:
    """A contract on the account's shard whose address would be at home on the other one."""
    contract = deploy(network.web3(node=f"s{SOURCE}v0"), account, compiled)
    while (
        home_by_range(Address(bytes.fromhex(contract.address[2:])), len(network.shards)) == SOURCE
    ):
        contract = deploy(network.web3(node=f"s{SOURCE}v0"), account, compiled)
    wait_for(lambda: network.home(contract.address) == SOURCE, "the directory to know it")
    return contract


def test_refunds_come_home(two_by_four: Network, compiled_books: dict[str, Any]) -> None:
    """To the contract that sent the value, which lives away from where its address is by default; and the
    gas to the account that paid for it."""
    network, w3 = two_by_four, two_by_four.web3(node=f"s{SOURCE}v0")
    alice = network.account(SOURCE, 3).signer
    here = born_away(network, alice, compiled_books)
    there = deploy(
        network.web3(node=f"s{DESTINATION}v0"),
        network.account(DESTINATION, 3).signer,
        compiled_books,
    )
    network.invariants.wait_until_quiet()
    before = w3.eth.get_balance(alice.address)

    asked = [1, there.address, there.encode_abi("refuse", [1]), GAS, REPLY_GAS, NO_CALLBACK]
    done = send_and_wait(
        w3, alice, to=here.address, data=here.encode_abi("ask", asked), gas=500_000, gasPrice=PRICE,
        value=(GAS + REPLY_GAS) * PRICE + ETHER,
    )  # fmt: skip

    root = tree(network, done["transactionHash"])
    (request,) = root["children"]
    assert (request["kind"], request["outcome"], request["shard"]) == (
        "CALL",
        "failed",
        DESTINATION,
    )
    credits = {node["to"]: node for node in request["children"]}
    assert set(credits) == {here.address.lower(), alice.address.lower()}
    assert {(node["kind"], node["outcome"], node["shard"]) for node in credits.values()} == {
        ("CREDIT", "ok", SOURCE)
    }
    network.invariants.wait_until_quiet()
    used = done["gasUsed"] + sum(node["gasUsed"] for node in below(root))
    balances = {
        shard: connect(network.shard(shard).rpc).eth.get_balance for shard in network.shard_ids
    }
    for address, wei in ((here.address, ETHER), (alice.address, before - ETHER - used * PRICE)):
        assert balances[SOURCE](address) == wei
        assert balances[DESTINATION](address) == 0
        assert network.web3(node=f"s{DESTINATION}v0").eth.get_balance(address) == wei


def test_a_token_whose_second_leg_fails_comes_back(two_by_four: Network) -> None:
    """Burned here, refused there because the shards' contracts were linked one way only, while the destination
    stands still for a time: the holder has it back, and until then the contract says that it is under way."""
    source = (ROOT / "examples" / "token" / "ShardedToken.vy").read_text()
    compiled = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    network, supply = two_by_four, 1000
    owners = {shard: network.account(shard, 3).signer for shard in network.shard_ids}
    tokens = {}
    for shard, owner in owners.items():
        factory = network.web3(node=f"s{shard}v0").eth.contract(
            abi=compiled["abi"], bytecode=compiled["bytecode"]
        )
        issued = supply if shard == SOURCE else 0
        data = factory.constructor("Reef", "REEF", issued).data_in_transaction
        tokens[shard] = deploy(
            network.web3(node=f"s{shard}v0"), owner, {**compiled, "bytecode": data}
        )
    alice, here, there = owners[SOURCE], tokens[SOURCE], tokens[DESTINATION]
    w3, bob = network.web3(node=f"s{SOURCE}v0"), network.new_account(DESTINATION, ether=0).address
    link = here.encode_abi("link", [DESTINATION, there.address])
    assert send_and_wait(w3, alice, to=here.address, data=link)["status"] == 1
    wait_for(lambda: network.home(there.address) == DESTINATION, "the directory to know it")
    fee = here.functions.fee(1, 0).call({"from": alice.address, "gasPrice": PRICE})

    with without_quorum(network):
        tx_hash = send(
            w3, alice, to=here.address, data=here.encode_abi("transferAcross", [bob, 300]),
            value=fee, gas=500_000, gasPrice=PRICE,
        )  # fmt: skip
        receipt(w3, tx_hash)
        (request,) = tree(network, tx_hash, complete=False)["children"]
        assert request["outcome"] is None
        assert [here.functions.totalSupply().call(), here.functions.inFlight().call()] == [700, 300]

    root = tree(network, tx_hash)
    (request,) = root["children"]
    assert (request["kind"], request["outcome"]) == ("CALL", "failed")
    replies = [node for node in request["children"] if node["kind"] == "REPLY"]
    assert [(node["outcome"], node["shard"]) for node in replies] == [("ok", SOURCE)]
    network.invariants.wait_until_quiet()
    supplies = [token.functions.totalSupply().call() for token in tokens.values()]
    assert supplies == [supply, 0]
    assert here.functions.inFlight().call() == 0
    assert here.functions.balanceOf(alice.address).call() == supply
