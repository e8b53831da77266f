"""A network that runs one chain, with opaque values."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from consensus.types import Validator, ValidatorSet
from tests.simulation.simnet.byzantine import ByzantineHost
from tests.simulation.simnet.chain import Chain
from tests.simulation.simnet.disk import Disk, FileDisk, MemoryDisk
from tests.simulation.simnet.host import Host
from tests.simulation.simnet.network import Network
from tests.simulation.simnet.scenario import Behaviour, Schedule
from tests.simulation.simnet.scheme import CTX, address


class World(Chain[Host]):
    """The nodes of a schedule and everything between them.

    Args:
        schedule: what happens.
        directory: where real disks are, for scenarios that want them.
        host: the class of the honest nodes; tests of mistakes put a worse one here.
    """

    def __init__(
        self, schedule: Schedule, *, directory: Path | None = None, host: type[Host] = Host
    ) -> None:
        scenario = schedule.scenario
        n = len(scenario.powers)
        faulty = dict(scenario.faulty)
        twins = [node for node, what in faulty.items() if Behaviour.TWIN in what]
        indexes = range(n + scenario.followers + len(twins))
        keys = [*range(n + scenario.followers), *twins]
        sly = frozenset(index for index in indexes if keys[index] in faulty)
        super().__init__(Network(scenario, schedule.seed, schedule.only, sly), CTX)
        self._sets: dict[int, ValidatorSet] = {}
        self._directory = directory
        for index, key in enumerate(keys):
            disk = self._disk(index)
            self.hosts[index] = (
                ByzantineHost(self, index, key, disk, faulty[key])
                if key in faulty
                else host(self, index, key, disk)
            )
        for node in self.hosts.values():
            self.at(
                0.2 * scenario.timeout_scale * self.dice.unit(f"first start of {node.index}"),
                node.boot,
            )
        for outage in scenario.outages:
            self.at(outage.start, partial(self._stop, outage.node))
            self.at(outage.end, self.hosts[outage.node].boot)

    def _disk(self, index: int) -> Disk:
        if not self.scenario.real_disk:
            return MemoryDisk()
        if self._directory is None:
            raise ValueError("a scenario with real disks needs a directory")
        directory = self._directory / str(index)
        directory.mkdir()
        return FileDisk(directory)

    def close(self) -> None:
        """Close the files of real disks."""
        for host in self.hosts.values():
            if isinstance(host.disk, FileDisk):
                host.disk.close()

    def _stop(self, node: int) -> None:
        if self.hosts[node].alive:
            self.hosts[node].die()

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

    @property
    def events(self) -> int:
        """How much has happened."""
        return self.network.events

    def run_until(self, done: Callable[[], bool], deadline: float) -> None:
        """Run until a condition holds or virtual time passes the deadline (seconds)."""
        self.network.run_until(done, deadline)

    def allow(self, limit: int) -> None:
        """Let the chain grow up to this height."""
        self.limit = limit
        for host in self.hosts.values():
            if host.alive:
                self.at(0.0, host.in_this_life(lambda: None))

    def all_reached(self, height: int) -> bool:
        """Whether every honest node has that many blocks."""
        return all(len(host.chain) >= height for host in self.honest)

    def status(self) -> str:
        """Where everybody is, a node a line."""
        return "\n".join([f"t = {self.now:.2f} s", *self.positions()])
