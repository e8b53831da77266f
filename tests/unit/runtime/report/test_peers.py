"""The node and its peers in geth's shapes."""

from pathlib import Path

from node.config.node_config import NodeConfig, P2pConfig, PeerConfig
from node.runtime.report.peers import node_info, peers
from tests.support.parts import genesis

GENESIS = genesis()


def config(listen="127.0.0.1:30300"):
    return NodeConfig(
        name="me",
        genesis=Path("genesis.json"),
        identity_key=Path("identity.key"),
        p2p=P2pConfig(listen=listen),
        peers=tuple(
            PeerConfig(name=f"s0v{n}", peer_id=name, address=f"example.org:{n}")
            for n, name in enumerate(("one", "two", "three", "four"))
        ),
    )


def info_of(listen="127.0.0.1:30300"):
    return node_info(config(listen), GENESIS, "me", b"\2" * 32)


def test_the_node_has_a_multiaddress_where_geth_has_an_enode():
    info = info_of()
    assert info["enode"] == "/ip4/127.0.0.1/tcp/30300/p2p/me"
    assert (info["id"], info["ip"], info["listenAddr"]) == ("me", "127.0.0.1", "127.0.0.1:30300")
    assert info["ports"] == {"discovery": 0, "listener": 30300}
    assert info["name"].startswith("atoll/")
    protocol = info["protocols"]["atoll"]
    assert protocol == {
        "network": 1337,
        "genesis": "0x" + GENESIS.hash.hex(),
        "head": "0x" + "02" * 32,
    }
    assert info_of("[::1]:5")["enode"] == "/ip6/::1/tcp/5/p2p/me"


def test_connected_peers_in_the_order_of_the_configuration():
    two, four = peers(config(), {"two", "four"})
    assert (two["name"], four["name"]) == ("s0v1", "s0v3")
    assert two["enode"] == "/dns/example.org/tcp/1/p2p/two"
    assert two["network"]["remoteAddress"] == "example.org:1"
    assert peers(config(), ()) == []
