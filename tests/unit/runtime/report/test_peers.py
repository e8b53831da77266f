"""The node and its peers in geth's shapes."""

from types import SimpleNamespace

from node.config.node_config import P2pConfig, PeerConfig
from node.runtime.report.peers import node_info, peers


def node(listen="127.0.0.1:30300", connected=("two", "four")):
    names = ("one", "two", "three", "four")
    return SimpleNamespace(
        config=SimpleNamespace(
            p2p=P2pConfig(listen=listen),
            peers=tuple(
                PeerConfig(name=f"s0v{n}", peer_id=name, address=f"example.org:{n}")
                for n, name in enumerate(names)
            ),
        ),
        topology=SimpleNamespace(me="me"),
        genesis=SimpleNamespace(chain_id=7, hash=b"\1" * 32),
        beacon_chain=SimpleNamespace(head=SimpleNamespace(hash=b"\2" * 32)),
        network=SimpleNamespace(linked=frozenset(connected)),
    )


def test_the_node_has_a_multiaddress_where_geth_has_an_enode():
    info = node_info(node())
    assert info["enode"] == "/ip4/127.0.0.1/tcp/30300/p2p/me"
    assert (info["id"], info["ip"], info["listenAddr"]) == ("me", "127.0.0.1", "127.0.0.1:30300")
    assert info["ports"] == {"discovery": 0, "listener": 30300}
    assert info["name"].startswith("atoll/")
    protocol = info["protocols"]["atoll"]
    assert protocol == {"network": 7, "genesis": "0x" + "01" * 32, "head": "0x" + "02" * 32}
    assert node_info(node("[::1]:5"))["enode"] == "/ip6/::1/tcp/5/p2p/me"


def test_connected_peers_in_the_order_of_the_configuration():
    two, four = peers(node())
    assert (two["name"], four["name"]) == ("s0v1", "s0v3")
    assert two["enode"] == "/dns/example.org/tcp/1/p2p/two"
    assert two["network"]["remoteAddress"] == "example.org:1"
    assert peers(node(connected=())) == []
