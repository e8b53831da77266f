"""Contracts that need an account of another shard: what users and their tools see of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vyper
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractLogicError, Web3RPCError

from node.testing import Network, until
from node.testing.errors import TransactionFailed
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import call, deploy, send, send_and_wait, wait_until_equal
from tests.cluster.support.load import ETHER
from tests.cluster.support.network import atoll

HERE, THERE = 0, 1


@pytest.fixture
def network(networks: SharedNetworks) -> Iterator[Network]:
    network = networks.shared(shards=2, validators=1)
    yield network
    network.invariants.check()


@pytest.fixture
def callers(network: Network) -> list[Contract]:
    """The same contract on each shard."""
    source = (Path(__file__).parent / "contracts" / "Caller.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    w3 = network.web3()
    return [deploy(w3, network.account(shard).signer, compiled) for shard in (HERE, THERE)]


def test_users_are_told_where_the_other_contract_is(
    network: Network, callers: list[Contract]
) -> None:
    """Before sending by eth_estimateGas, and of what was sent by whatever tells of it; at each node."""
    near, far = callers
    lives = f"{far.address} lives on shard {THERE}; "
    reach = lives + "reach it with MESSENGER.send"
    said = {
        "without_result": reach,
        "with_result": reach,
        "by_delegation": reach,
        "at_low_level": "the other one failed",
        "read_balance": lives + "its balance cannot be read here",
    }
    alice = network.account(HERE).signer
    for function, text in said.items():
        data = near.encode_abi(function, [far.address])
        asked = {"from": alice.address, "to": near.address, "data": data}
        for node in network.nodes:
            with pytest.raises(ContractLogicError, match=text):
                network.web3(node=node.name).eth.estimate_gas(asked)  # type: ignore[arg-type]

        sent = send(network.web3(), alice, to=near.address, data=data, gas=200_000)
        with pytest.raises(TransactionFailed, match=text):
            network.wait_for(until.receipt(sent))
        for node in network.nodes:
            why = call(node.rpc, "atoll_reason", [Web3.to_hex(sent)])
            trace = call(
                node.rpc, "debug_traceTransaction", [Web3.to_hex(sent), {"tracer": "callTracer"}]
            )
            assert why["reason"] == text
            assert (trace["error"], trace["revertReason"]) == ("execution reverted", text)
        hidden = trace.get("calls", [{}])[0]
        if function == "at_low_level":  # the trace has what the contract kept to itself
            assert (hidden["to"], hidden["revertReason"]) == (far.address.lower(), reach)
    near_number, far_number = (c.functions.number().call() for c in callers)
    assert (near_number, far_number) == (0, 0)


def test_the_command_says_it(network: Network, callers: list[Contract]) -> None:
    near, far = callers
    done = atoll(
        "send", network.account(HERE).address, near.address, "0", "without_result(address)", far.address,
        *("--gas", "200000", "--wait", "--dir", network.directory), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{far.address} lives on shard {THERE}" in done.stdout + done.stderr


def test_an_arriving_call_that_calls_back_is_told_too(
    network: Network, callers: list[Contract]
) -> None:
    """The user of another shard sends; the contract calls another one on that user's shard."""
    near, far = callers
    bob = network.account(THERE).signer
    data = near.encode_abi("without_result", [far.address])
    sent = send(network.web3(), bob, to=near.address, data=data, gas=200_000)
    with pytest.raises(TransactionFailed, match=f"{far.address} lives on shard {THERE}"):
        network.wait_for(until.receipt(sent))


def test_tokens_and_wei_go_to_users_of_other_shards(
    network: Network, callers: list[Contract]
) -> None:
    near = callers[HERE]
    w3, alice = network.web3(), network.account(HERE).signer
    user = network.new_account(THERE, ether=0).address
    token = send_and_wait(
        w3, alice, to=near.address, data=near.encode_abi("safe_transfer", [user]), gas=200_000
    )
    paid = send_and_wait(
        w3, alice, to=near.address, data=near.encode_abi("pay", [user]), value=ETHER
    )
    assert (token["status"], paid["status"]) == (1, 1)
    assert near.functions.owner().call() == user
    wait_until_equal(lambda: w3.eth.get_balance(user), ETHER, "what the user was paid")


def test_delegations_over_a_border_are_refused_when_they_are_sent(
    network: Network, callers: list[Contract]
) -> None:
    """EIP-7702: nothing is charged for an authorization that could have no effect."""
    w3, alice = network.web3(), network.account(HERE).signer
    for owner, code, text in (
        (network.new_account(THERE), callers[HERE], "can only be set on the shard of that account"),
        (network.new_account(HERE), callers[THERE], f"which lives on shard {THERE}"),
    ):
        allowed = owner.signer.sign_authorization(
            {"chainId": network.chain_id, "address": code.address, "nonce": 0}
        )
        with pytest.raises(Web3RPCError, match=text):
            send(w3, alice, to=alice.address, authorizationList=[allowed], gas=200_000)
