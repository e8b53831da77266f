"""Faults over JSON-RPC: who may set them, and what they may be."""

from pathlib import Path

import pytest

from consensus.types import BlockId, Certificate, Height, Round
from node.beacon.evidence import ShardFork
from node.config.live_faults import LiveFaults
from node.config.node_config import NodeConfig, PeerConfig, RpcConfig, is_loopback
from node.config.node_faults import LinkFaults, NodeFaults
from node.primitives.basics import ShardId
from node.primitives.errors import InvalidBlock
from node.view.fault_control import FaultControl
from rpc.errors import InvalidParams, MethodNotSupported, ServerError
from rpc.methods import METHODS
from rpc.methods.faults import METHODS as FAULTS
from rpc.methods.table import Context


def make(
    live: LiveFaults, *, allowed: bool = True, host: str = "127.0.0.1", signs: bool = True
) -> FaultControl:
    def accuse(item: object) -> bool:
        raise InvalidBlock("it proves nothing")

    config = NodeConfig(
        name="s0v0",
        genesis=Path("g"),
        identity_key=Path("i"),
        validator_key=Path("v") if signs else None,
        rpc=RpcConfig(host=host),
        peers=(PeerConfig(name="s0v1", peer_id="p", address="127.0.0.1:1"),),
    )
    return FaultControl(live, accuse=accuse, config=config, allowed=allowed)


def test_they_replace_what_was_in_force_and_whoever_listens_is_told() -> None:
    live = LiveFaults(NodeFaults())
    heard: list[NodeFaults] = []
    live.on_change.append(heard.append)
    control = make(live)
    assert control.off is None
    shown = control.set({"clock": 3, "links": {"s0v1": {"loss": 0.5}}})
    assert shown == control.show()
    assert live.current == NodeFaults(clock=3.0, links={"s0v1": LinkFaults(loss=0.5)})
    control.set(shown)  # the same again
    control.set({})
    assert heard == [NodeFaults(clock=3.0, links={"s0v1": LinkFaults(loss=0.5)}), NodeFaults()]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"clocks": 3}, "clocks"),
        ({"links": {"s0v1": {"loss": 2}}}, r"links.*<= 1|<= 1.*links"),
        ({"links": {"s9v9": {}}}, "none of this node's peers is 's9v9'"),
        ({"disk": -1}, ">= 0"),
        ({"lanes": [-1]}, ">= 0"),
        ({"equivocate": "yes"}, "equivocate"),
    ],
)
def test_what_makes_no_sense_changes_nothing(document: dict[str, object], reason: str) -> None:
    live = LiveFaults(before := NodeFaults(clock=1.0))
    with pytest.raises(InvalidParams, match=reason):
        make(live).set(document)
    assert live.current == before


def test_who_signs_nothing_contradicts_nothing() -> None:
    with pytest.raises(InvalidParams, match="nothing is signed"):
        make(LiveFaults(NodeFaults()), signs=False).set({"equivocate": True})


def test_evidence_is_decoded_strictly_and_refused_with_the_reason() -> None:
    control = make(LiveFaults(NodeFaults()))
    for garbage in (b"", b"\xc0", bytes(100)):
        with pytest.raises(InvalidParams, match="evidence"):
            control.accuse(garbage)


def test_the_endpoint_has_to_be_this_machines_own() -> None:
    assert "0.0.0.0" in str(make(LiveFaults(NodeFaults()), host="0.0.0.0").off)  # noqa: S104
    assert [is_loopback(h) for h in ("127.0.0.2", "::1", "localhost", "::", "example")] == [
        True, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(FAULTS))
async def test_without_the_flag_every_method_says_so(net, name) -> None:
    context = Context(backend=net.views().backend, scope=None, filters=None, aside=None)
    with pytest.raises(MethodNotSupported, match=r"dev_methods = false.*`atoll up`") as refusal:
        await METHODS[name].handler(context, *({} for _ in METHODS[name].params))
    assert refusal.value.code == -32004
    assert name in refusal.value.message


def test_the_clock_of_the_node_is_off_by_what_is_said() -> None:
    live = LiveFaults(NodeFaults())
    before = live.time()
    live.set(NodeFaults(clock=1000.0))
    assert 1000 <= live.time() - before < 2000


def test_evidence_that_proves_nothing_is_refused() -> None:
    one, other = (
        Certificate(
            height=Height(1),
            round=Round(0),
            block_id=BlockId(b * 32),
            signers=1,
            signatures=(bytes(65),),
        )
        for b in (b"a", b"b")
    )
    fork = ShardFork(shard=ShardId(0), first=one, second=other)
    with pytest.raises(ServerError, match="it proves nothing"):
        make(LiveFaults(NodeFaults())).accuse(fork.encoded)
