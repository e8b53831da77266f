"""The start of a chain's heights, once its committee is connected."""

import trio

from node.engine.host import ConsensusHost
from node.network.era_network import EraNetwork
from node.network.topology import Topology

OPENING_SECONDS = 1.0  # how long the last validators of a committee are waited for
LONGEST_OPENING = 10.0  # and how long a quorum of it


async def open_when_connected(
    host: ConsensusHost, network: EraNetwork, topology: Topology, *, signs: bool, rewound: bool
) -> None:
    """Let a chain begin heights once its committee is connected, so that round 0 need not time out.

    The last few are waited for a moment, a quorum for longer: without it nothing can be decided. `signs` says
    whether this node has a validator's key, `rewound` that the network was taken back while it ran: a member
    that is not connected then was not connected before either.
    """
    committee = host.app.validators()
    started = trio.current_time()
    while True:
        here = [topology.address_of(p) for p in network.connected]
        if signs:
            here.append(topology.address_of(topology.me))
        power = sum(committee.power_of(a) for a in here if a is not None)
        away = [topology.address_of(p) for p in network.linked]
        if (
            rewound
            and committee.is_quorum(power)
            and not any(a is not None and a in committee and a not in here for a in away)
        ):
            break
        waited = trio.current_time() - started
        patience = OPENING_SECONDS if committee.is_quorum(power) else LONGEST_OPENING
        if power == committee.total_power or waited >= patience:
            break
        await trio.sleep(0.02)
    host.open(restarted=not rewound)
