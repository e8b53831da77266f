"""Virtual time and the network between the nodes."""

import heapq
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from itertools import count
from pathlib import Path

from consensus import Evidence, StartHeight, TimeoutParams, Validator, ValidatorSet
from consensus.types import Height
from tests.simulation.simnet.byzantine import ByzantineHost
from tests.simulation.simnet.dice import Dice
from tests.simulation.simnet.disk import Disk, FileDisk, MemoryDisk
from tests.simulation.simnet.host import Host, start_of
from tests.simulation.simnet.observer import Observer
from tests.simulation.simnet.scenario import Behaviour, Schedule
from tests.simulation.simnet.scheme import Block, Message, Packet, address

PACKET_CACHE = 4096


class World:
    """The nodes of a schedule and everything between them.

    Args:
        schedule: what happens.
        directory: where real disks are, for scenarios that want them.
        host: the class of the honest nodes; tests of mistakes put a worse one here.
    """

    def __init__(
        self, schedule: Schedule, *, directory: Path | None = None, host: type[Host] = Host
    ) -> None:
        self.scenario = scenario = schedule.scenario
        self._seed = schedule.seed
        self.dice = Dice(schedule.seed, schedule.only)
        self.timeouts = TimeoutParams(scale=scenario.timeout_scale)
        self.now = 0.0
        self.limit = scenario.heights
        self.events = 0
        self.observer = Observer(self.validators)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._sent: dict[tuple[int, int, str], int] = {}
        self._packets: dict[Message, Packet] = {}
        self._sets: dict[int, ValidatorSet] = {}
        self._links = {(link.sender, link.receiver): link for link in scenario.links}
        self._directory = directory
        self.crashing = scenario.crash_rate > 0 or bool(scenario.crash_points)
        n = len(scenario.powers)
        faulty = dict(scenario.faulty)
        twins = [node for node, what in faulty.items() if Behaviour.TWIN in what]
        self.indexes = range(n + scenario.followers + len(twins))
        self.hosts: list[Host] = []
        for index in self.indexes:
            key = index if index < n + scenario.followers else twins[index - n - scenario.followers]
            disk = self._disk(index, key)
            self.hosts.append(
                ByzantineHost(self, index, key, disk, faulty[key])
                if key in faulty
                else host(self, index, key, disk)
            )
        self.honest = [node for node in self.hosts if not node.byzantine]
        for node in self.hosts:
            self.at(
                0.2 * scenario.timeout_scale * self.dice.unit(f"first start of {node.index}"),
                node.boot,
            )
        for outage in scenario.outages:
            self.at(outage.start, partial(self._stop, outage.node))
            self.at(outage.end, self.hosts[outage.node].boot)
        self._faulty = {node.index for node in self.hosts if node.byzantine}

    def _disk(self, index: int, key: int) -> Disk:
        if not self.scenario.real_disk:
            return MemoryDisk()
        if self._directory is None:
            raise ValueError("a scenario with real disks needs a directory")
        directory = self._directory / str(index)
        directory.mkdir()
        return FileDisk(directory, lambda height: start_of(self, height, key))

    def close(self) -> None:
        """Close the files of real disks."""
        for host in self.hosts:
            if isinstance(host.disk, FileDisk):
                host.disk.close()

    def _stop(self, node: int) -> None:
        if self.hosts[node].alive:
            self.hosts[node].die()

    # ------------------------------------------------------------------ what all agree on

    def validators(self, height: int) -> ValidatorSet:
        """The set of a height."""
        known = self._sets.get(height)
        if known is not None:
            return known
        powers = self.scenario.powers
        if self.scenario.rotate_powers and not self.scenario.faulty:
            shift = height % len(powers)
            powers = powers[shift:] + powers[:shift]
        made = ValidatorSet(
            Validator(address=address(i), power=power) for i, power in enumerate(powers)
        )
        same = next((known for known in self._sets.values() if known == made), made)
        self._sets[height] = same
        return same

    def start_height(self, height: Height, key: int) -> StartHeight:
        """The input that starts a height at the node with this key."""
        return start_of(self, height, key)

    def skew(self, index: int) -> float:
        """The factor by which a node's timers are off."""
        skew = self.scenario.skew
        return skew[index] if index < len(skew) else 1.0

    @staticmethod
    def digest(preimage: bytes) -> bytes:
        """What the last-signed record keeps of a preimage."""
        return blake2b(preimage, digest_size=32).digest()

    def accuse(self, evidence: Evidence) -> None:
        """An honest node has found evidence."""
        keys = {node.key for node in self.honest}
        self.observer.accuses(evidence, keys.__contains__)

    # ------------------------------------------------------------------ time

    def at(self, delay: float, action: Callable[[], None]) -> None:
        """Do something after a delay in seconds."""
        heapq.heappush(self._queue, (self.now + delay, next(self._order), action))

    def run_until(self, done: Callable[[], bool], deadline: float) -> None:
        """Run until a condition holds or virtual time passes the deadline (seconds)."""
        queue = self._queue
        while queue and queue[0][0] <= deadline and not done():
            self.now, _, action = heapq.heappop(queue)
            self.events += 1
            action()
        if not done():
            self.now = max(self.now, deadline)

    def allow(self, limit: int) -> None:
        """Let the chain grow up to this height."""
        self.limit = limit
        for host in self.hosts:
            if host.alive:
                self.at(0.0, host.in_this_life(lambda: None))

    def all_reached(self, height: int) -> bool:
        """Whether every honest node has that many blocks."""
        return all(len(host.chain) >= height for host in self.honest)

    # ------------------------------------------------------------------ the network

    def packet(self, message: Message, block: Block | None = None) -> Packet:
        """The packet of a message; one object for one message."""
        packet = self._packets.get(message)
        if packet is None:
            if len(self._packets) >= PACKET_CACHE:
                self._packets.clear()
            packet = self._packets[message] = Packet(message, block)
        return packet

    def send(self, sender: int, receiver: int, packet: Packet) -> None:
        """Send a packet through whatever the link does to it."""
        scenario = self.scenario
        hear = partial(self.hosts[receiver].receive, sender, packet)
        if self.now >= scenario.heal_at:
            # Numbers hash to the same everywhere; names are only needed where faults are.
            how = hash((self._seed, sender, receiver, self.now)) % 65521 / 65521
            self.at(scenario.delay * how, hear)
            return
        link = (sender, receiver, packet.label)
        number = self._sent[link] = self._sent.get(link, 0) + 1
        name = f"{sender}>{receiver} #{number} {packet.label}"
        lost, twice, slow, how = self.dice.roll(name)
        happens = self.dice.happens
        apart = scenario.partitions and self._separated(sender, receiver)
        if apart and happens(f"cut {name}", 1.0, 0.0):
            return
        bad = self._links.get((sender, receiver))
        chance = scenario.loss if bad is None else max(scenario.loss, bad.loss)
        if lost < chance and happens(f"lose {name}", chance, lost):
            return
        delay = scenario.delay * how + (0.0 if bad is None else bad.delay)
        if slow < scenario.slow and happens(f"slow {name}", scenario.slow, slow):
            delay = scenario.slow_delay * how
        if twice < scenario.duplication and happens(f"twice {name}", scenario.duplication, twice):
            self.at(delay + scenario.slow_delay * slow, hear)
        self.at(delay, hear)

    def _separated(self, sender: int, receiver: int) -> bool:
        for part in self.scenario.partitions:
            if part.start <= self.now < part.end and (sender in part.side) != (
                receiver in part.side
            ):
                through = part.lets_faulty_through
                if not (through and (sender in self._faulty or receiver in self._faulty)):
                    return True
        return False

    def ask(self, asker: int, peer: int, known: int) -> None:
        """A question for decided blocks. Lost as packets are, but not recorded: it is repeated."""
        lost, _, _, how = self.dice.roll(f"{asker}?{peer} {known} at {self.now}")
        if self.now < self.scenario.heal_at and (
            self._separated(asker, peer) or lost < self.scenario.loss
        ):
            return
        self.at(self.scenario.delay * how, partial(self.hosts[peer].answer, asker, known))

    def crashes(self, node: int, boundary: int) -> bool:
        """Whether a node dies at a boundary. Negative ones are in the middle of a broadcast."""
        scenario = self.scenario
        if (node, boundary) in scenario.crash_points:
            return True
        if self.now >= scenario.heal_at:
            return False
        where = f"boundary {boundary}" if boundary > 0 else f"a broadcast after {-boundary}"
        return self.dice.happens(f"crash {node} at {where}", scenario.crash_rate)

    def status(self) -> str:
        """Where everybody is, a node a line."""
        lines = [f"t = {self.now:.2f} s"]
        for host in self.hosts:
            engine = host.engine
            lines.append(
                f"  {host.index}: {'up' if host.alive else 'down'}"
                f"{' faulty' if host.byzantine else ''}"
                f" chain {len(host.chain)}, {engine.height}/{engine.round}"
                f" {engine.round_step.name} locked {engine.locked_round}"
                f" valid {engine.valid_round}"
            )
        return "\n".join(lines)
