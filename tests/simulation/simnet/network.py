"""Virtual time, and what happens to messages between nodes."""

import heapq
from collections.abc import Callable
from itertools import count

from tests.simulation.simnet.dice import Dice
from tests.simulation.simnet.scenario import Scenario


class Network:
    """Time and the links between the nodes of a scenario, whatever runs on them.

    Args:
        scenario: the faults of links and clocks.
        seed: decides which of them happen.
        only: faults of other names do not happen; None allows all.
        faulty: nodes that some partitions let through.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        only: frozenset[str] | None = None,
        faulty: frozenset[int] = frozenset(),
    ) -> None:
        self.scenario = scenario
        self.dice = Dice(seed, only)
        self.now = 0.0
        self.events = 0
        self._seed = seed
        self._faulty = faulty
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._sent: dict[tuple[int, int, str], int] = {}
        self._links = {(link.sender, link.receiver): link for link in scenario.links}

    @property
    def healed(self) -> bool:
        """Whether the faults are over."""
        return self.now >= self.scenario.heal_at

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

    # ------------------------------------------------------------------ links

    def deliver(self, sender: int, receiver: int, label: str, hear: Callable[[], None]) -> None:
        """Let `hear` happen after whatever the link does to a message, which `label` names."""
        scenario, now = self.scenario, self.now
        if now >= scenario.heal_at:
            # Numbers hash to the same everywhere; names are only needed where faults are.
            how = hash((self._seed, sender, receiver, now)) % 65521 / 65521
            self.at(scenario.delay * how, hear)
            return
        link = (sender, receiver, label)
        number = self._sent[link] = self._sent.get(link, 0) + 1
        name = f"{sender}>{receiver} #{number} {label}"
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

    def question(self, asker: int, peer: int, name: str, hear: Callable[[], None]) -> None:
        """A message that is lost as others are, but not recorded: its sender repeats it."""
        lost, _, _, how = self.dice.roll(name)
        if not self.healed and (self._separated(asker, peer) or lost < self.scenario.loss):
            return
        self.at(self.scenario.delay * how, hear)

    def _separated(self, sender: int, receiver: int) -> bool:
        for part in self.scenario.partitions:
            if part.start <= self.now < part.end and (sender in part.side) != (
                receiver in part.side
            ):
                through = part.lets_faulty_through
                if not (through and (sender in self._faulty or receiver in self._faulty)):
                    return True
        return False
