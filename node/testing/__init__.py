"""Networks for tests: `Network` for any program, and fixtures of pytest (docs/testing.md).

    from atoll.testing import Network, until

    with Network.start(shards=2, validators=1) as net:
        tx = net.send(net.account(shard=0), net.account(shard=1).address, value=10**18)
        net.wait_for(until.settled(tx))

pytest imports this package when it starts, through the entry point of the plugin: what needs more than the
standard library is imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from node.cluster.accounts import DevAccount as Account
    from node.cluster.errors import InvariantBroken, NetworkFailed, RpcRefused, RpcUnreachable
    from node.primitives.errors import UserError
    from node.testing import conditions as until
    from node.testing.conditions import Condition, Pending
    from node.testing.errors import NetworkStopped, TransactionFailed, Unbalanced, WaitTimeout
    from node.testing.members import Node, Shard
    from node.testing.network import AsyncNetwork, Network
    from node.testing.options import Options

_PLACES = {
    "Account": ("node.cluster.accounts", "DevAccount"),
    "AsyncNetwork": ("node.testing.network", "AsyncNetwork"),
    "Condition": ("node.testing.conditions", "Condition"),
    "InvariantBroken": ("node.cluster.errors", "InvariantBroken"),
    "Network": ("node.testing.network", "Network"),
    "NetworkFailed": ("node.cluster.errors", "NetworkFailed"),
    "NetworkStopped": ("node.testing.errors", "NetworkStopped"),
    "Node": ("node.testing.members", "Node"),
    "Options": ("node.testing.options", "Options"),
    "Pending": ("node.testing.conditions", "Pending"),
    "RpcRefused": ("node.cluster.errors", "RpcRefused"),
    "RpcUnreachable": ("node.cluster.errors", "RpcUnreachable"),
    "Shard": ("node.testing.members", "Shard"),
    "TransactionFailed": ("node.testing.errors", "TransactionFailed"),
    "Unbalanced": ("node.testing.errors", "Unbalanced"),
    "UserError": ("node.primitives.errors", "UserError"),
    "WaitTimeout": ("node.testing.errors", "WaitTimeout"),
    "until": ("node.testing.conditions", ""),
}

__all__ = [
    "Account",
    "AsyncNetwork",
    "Condition",
    "InvariantBroken",
    "Network",
    "NetworkFailed",
    "NetworkStopped",
    "Node",
    "Options",
    "Pending",
    "RpcRefused",
    "RpcUnreachable",
    "Shard",
    "TransactionFailed",
    "Unbalanced",
    "UserError",
    "WaitTimeout",
    "until",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    place, attribute = _PLACES[name]
    module = import_module(place)
    return getattr(module, attribute) if attribute else module
