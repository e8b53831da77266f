"""One chain in the network: what its hosts share, and agree on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from functools import cached_property, partial
from typing import Any, Generic, Protocol, TypeVar

from consensus.engine import Engine
from consensus.evidence import Evidence
from consensus.types import ChainContext, ValidatorSet
from tests.simulation.simnet.network import Network
from tests.simulation.simnet.observer import Observer
from tests.simulation.simnet.scheme import Block, Message, Packet

PACKET_CACHE = 4096


class Member(Protocol):
    """A host of a chain (see ``host.Host``), as its chain sees it."""

    index: int
    key: int
    byzantine: bool
    alive: bool
    chain: Any
    engine: Engine

    def receive(self, sender: int, packet: Packet) -> None: ...

    def answer(self, asker: int, known: int) -> None: ...


H = TypeVar("H", bound=Member)


class Chain(ABC, Generic[H]):
    """A chain whose hosts are at some nodes of a network.

    Args:
        network: between the nodes.
        context: what signatures are bound to.
        name: begins the names of this chain's faults; empty where there is one chain only.
    """

    def __init__(self, network: Network, context: ChainContext, name: str = "") -> None:
        self.network = network
        self.context = context
        self.name = name
        self.scenario = scenario = network.scenario
        self.dice = network.dice.named(name)
        self.limit = scenario.heights
        self.observer = Observer(self.validators, context, self.is_honest)
        self.crashing = scenario.crash_rate > 0 or bool(scenario.crash_points)
        self.hosts: dict[int, H] = {}
        self._packets: dict[Message, Packet] = {}

    # ------------------------------------------------------------------ who takes part

    @abstractmethod
    def validators(self, height: int) -> ValidatorSet:
        """The set of a height."""

    @property
    def indexes(self) -> Collection[int]:
        """The nodes that have a host of this chain."""
        return self.hosts.keys()

    @property
    def audience(self) -> Collection[int]:
        """The nodes that hear votes and proposals, in order."""
        return self.hosts.keys()

    @property
    def keys(self) -> list[int]:
        """The keys of the validators."""
        return list(range(len(self.scenario.powers)))

    @cached_property
    def honest(self) -> list[H]:
        """The hosts that keep to the protocol."""
        return [host for host in self.hosts.values() if not host.byzantine]

    def is_honest(self, key: int) -> bool:
        """Whether a key belongs to a host that keeps to the protocol."""
        return key in self._honest_keys

    @cached_property
    def _honest_keys(self) -> frozenset[int]:
        return frozenset(host.key for host in self.honest)

    def accuse(self, evidence: Evidence) -> None:
        """An honest node has found evidence."""
        self.observer.accuses(evidence)

    # ------------------------------------------------------------------ what hosts use

    @property
    def now(self) -> float:
        """Virtual time in seconds."""
        return self.network.now

    def at(self, delay: float, action: Callable[[], None]) -> None:
        """Do something after a delay in seconds."""
        self.network.at(delay, action)

    def skew(self, index: int) -> float:
        """The factor by which a node's timers are off."""
        skew = self.scenario.skew
        return skew[index] if index < len(skew) else 1.0

    def packet(self, message: Message, block: Block | None = None) -> Packet:
        """The packet of a message; one object for one message."""
        packet = self._packets.get(message)
        if packet is None:
            if len(self._packets) >= PACKET_CACHE:
                self._packets.clear()
            packet = Packet(self.context, message, block)
            self._packets[packet.message] = packet  # the same that receivers say again
        return packet

    def send(self, sender: int, receiver: int, packet: Packet) -> None:
        """Send a packet through whatever the link does to it."""
        hear = partial(self.hosts[receiver].receive, sender, packet)
        self.network.deliver(sender, receiver, self.name + packet.label, hear)

    def ask(self, asker: int, peer: int, known: int) -> None:
        """A question for decided blocks."""
        name = f"{self.name}{asker}?{peer} {known} at {self.now}"
        hear = partial(self.hosts[peer].answer, asker, known)
        self.network.question(asker, peer, name, hear)

    def crashes(self, node: int, boundary: int) -> bool:
        """Whether a node dies at a boundary. Negative ones are in the middle of a broadcast."""
        scenario = self.scenario
        if scenario.crash_points and (node, boundary) in scenario.crash_points:
            return True
        if self.network.healed:
            return False
        where = f"boundary {boundary}" if boundary > 0 else f"a broadcast after {-boundary}"
        return self.dice.happens(f"crash {node} at {where}", scenario.crash_rate)

    def positions(self) -> list[str]:
        """Where everybody is, a node a line."""
        lines = []
        for host in self.hosts.values():
            engine = host.engine
            lines.append(
                f"  {self.name}{host.index}: {'up' if host.alive else 'down'}"
                f"{' faulty' if host.byzantine else ''}"
                f" chain {len(host.chain)}, {engine.height}/{engine.round}"
                f" {engine.round_step.name} locked {engine.locked_round}"
                f" valid {engine.valid_round}"
            )
        return lines
