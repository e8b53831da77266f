"""Proofs of messages from a running network, checked by a process that has only the genesis."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode
from web3 import Web3

from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import MESSENGER, SENT_TOPIC, call, send_and_wait, wait_for
from tests.cluster.support.load import ETHER
from tests.cluster.support.network import atoll


class Outsider:
    """A directory with the genesis, and what was sent there."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.directory = directory
        shutil.copy(network.directory / "genesis.json", directory)

    def verify(self, proof: Any) -> dict[str, Any]:
        file = self.directory / "proof.json"
        file.write_text(json.dumps(proof))
        genesis = self.directory / "genesis.json"
        return dict(json.loads(atoll("verify", file, "--genesis", genesis, "--json").stdout))

    def refuse(self, proof: Any) -> str:
        file = self.directory / "proof.json"
        file.write_text(json.dumps(proof))
        genesis = self.directory / "genesis.json"
        done = atoll("verify", file, "--genesis", genesis, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr


def transfer(network: Network, src: int, dst: int) -> tuple[str, Any]:
    """A transfer from one shard to another: the id of its message, and its receipt."""
    sender, to = network.account(src).signer, network.new_account(dst, ether=0).address
    done = send_and_wait(network.web3(node=f"s{src}v0"), sender, to=to, value=ETHER)
    assert done["status"] == 1
    return message_to(network, src, to), done


def contract_send(network: Network, src: int, dst: int) -> str:
    """The id of a message that MESSENGER's `send` sent."""
    sender, to = network.account(src, 1).signer, network.new_account(dst, ether=0).address
    arguments = encode(
        ["address", "bytes", "uint256", "uint256", "bytes4"], [to, b"", 30_000, 0, bytes(4)]
    )
    done = send_and_wait(
        network.web3(node=f"s{src}v0"),
        sender,
        to=MESSENGER,
        value=ETHER,
        data=SEND + arguments,
        gas=300_000,
    )
    assert done["status"] == 1
    return message_to(network, src, to)


def message_to(network: Network, src: int, to: str) -> str:
    logs = call(
        network.shard(src).rpc,
        "eth_getLogs",
        [{"fromBlock": "0x0", "toBlock": "latest", "topics": [SENT_TOPIC.to_0x_hex()]}],
    )
    recipient = to.removeprefix("0x").lower()
    (sent,) = (log for log in logs if recipient in log["data"])
    return str(sent["topics"][1])


SEND = Web3.keccak(text="send(address,bytes,uint256,uint256,bytes4)")[:4]


def proof_of(network: Network, message_id: str, *, by: str) -> Any:
    """The proof as soon as it shows the delivery."""

    def ask() -> Any:
        proof = call(network.node(by).rpc, "atoll_proveMessage", [message_id])
        return proof if proof["delivered"] is not None else None

    return wait_for(ask, f"{by} to prove the delivery of {message_id}")


def test_a_transfer_is_proven_to_an_outsider(two_by_four: Network, tmp_path: Path) -> None:
    network, outsider = two_by_four, Outsider(two_by_four, tmp_path)
    message_id, done = transfer(network, 0, 1)
    for by in ("s0v0", "s1v2"):
        proof = proof_of(network, message_id, by=by)
        proven = outsider.verify(proof)
        assert (proven["id"], proven["value"]) == (message_id, hex(ETHER))
        assert (proven["sent"]["shard"], proven["delivered"]["shard"]) == (0, 1)
        assert proven["delivered"]["outcome"] == "ok"
        assert proven["delivered"]["beaconBlock"] == done["blockNumber"]
        for leg in ("sent", "delivered"):
            place = proven[leg]
            block = call(
                network.shard(place["shard"]).rpc,
                "eth_getBlockByNumber",
                [hex(place["block"]), False],
            )
            assert block["hash"] == place["blockHash"]

    file = tmp_path / "by-command.json"
    atoll("prove", message_id, "--dir", network.directory, "--out", file)
    assert outsider.verify(json.loads(file.read_text())) == proven

    proof["message"] = proof["message"].replace(f"{ETHER:x}", f"{ETHER + 1:x}")
    assert "do not chain to the lane's head" in outsider.refuse(proof)
    sent = contract_send(network, 1, 0)
    proven = outsider.verify(proof_of(network, sent, by="s0v1"))
    assert (proven["id"], proven["kind"]) == (sent, "CALL")
    assert proven["from"] == network.account(1, 1).address.lower()
    assert 0 < int(proven["value"], 16) < ETHER

    unknown = call(network.rpc, "atoll_proveMessage", ["0x" + "11" * 32])
    assert unknown is None


@pytest.fixture
def own_network(networks: SharedNetworks) -> Iterator[Network]:
    """2 shards of 4 for this test alone: who is jailed stays jailed."""
    network = networks.start(shards=2, validators=4)
    yield network
    network.stop()


def test_the_committee_may_have_changed(own_network: Network, tmp_path: Path) -> None:
    """A member of the beacon committee is jailed; proofs from before and after are good."""
    network, outsider = own_network, Outsider(own_network, tmp_path)
    before, _ = transfer(network, 0, 1)
    atoll("fault", "equivocate", "s1v1", "--dir", network.directory)
    wait_for(lambda: jailed(network, "s1v1"), "s1v1 to be jailed")
    after, _ = transfer(network, 1, 0)

    first, second = (proof_of(network, m, by="s0v2") for m in (before, after))
    assert outsider.verify(first)["id"] == before
    assert outsider.verify(second)["id"] == after
    assert len(second["beacon"]) == 3
    del second["beacon"][0]
    assert "proves nothing: beacon[0]" in outsider.refuse(second)


def jailed(network: Network, name: str) -> bool:
    rows = call(network.rpc, "atoll_validators")
    return any(row["name"] == name and row["jailedAt"] for row in rows)
