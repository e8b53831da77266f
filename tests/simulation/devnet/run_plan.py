"""Running one schedule of a whole network from its faults to the end, and what is expected of it."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import structlog

from tests.simulation.devnet.net import Devnet
from tests.simulation.devnet.node import Node
from tests.simulation.devnet.plan import Plan
from tests.simulation.simnet.observer import Violation

PATIENCE = 150.0
"""Virtual seconds, times the scale of the timeouts, within which all lanes of a healed network drain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a plan: the violation if there was one, and counts."""

    plan: Plan
    violation: Violation | None
    happened: tuple[str, ...]
    events: int
    stats: Counter[str]
    heads: tuple[str, ...]
    status: str


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines: nodes have much to say about faults."""
    before = structlog.get_config()
    structlog.configure(
        processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def run_plan(plan: Plan, *, node: type[Node] = Node, patience: float = PATIENCE) -> Outcome:
    """Run through the faults, heal, and see every message arrive in time."""
    with quiet():
        net = Devnet(plan, node)
        violation = None
        try:
            live_through(net, patience)
        except Violation as caught:
            violation = caught
        except AssertionError as broken:
            rule, _, detail = str(broken).partition(": ")
            violation = Violation(rule, detail)
            violation.__cause__ = broken
        except Exception as error:  # noqa: BLE001 - whatever breaks is a finding, with its plan
            violation = Violation("crash", f"{type(error).__name__}: {error}")
            violation.__cause__ = error
    return Outcome(
        plan=plan,
        violation=violation,
        happened=tuple(net.network.dice.happened),
        events=net.network.events,
        stats=net.books.stats + net.stats,
        heads=tuple(
            f"{chain.name}{height} {block.hex()}"
            for chain in net.chains
            for height, block in sorted(chain.observer.blocks.items())
        ),
        status=net.status(),
    )


def live_through(net: Devnet, patience: float = PATIENCE) -> None:
    """From the start until every lane is empty.

    Raises:
        Violation: an invariant does not hold; of the rules ``liveness``, ``rounds`` or ``blocks`` if the
            network does not get on once it has healed.
        AssertionError: the books are not right.
    """
    scenario, network = net.plan.scenario, net.network
    scale = scenario.timeout_scale
    network.run_until(lambda: False, scenario.heal_at + 2 * scenario.slow_delay)
    highest = [
        (max(chain.observer.blocks, default=0), chain.observer.top_round) for chain in net.chains
    ]
    deadline = network.now + patience * scale
    while not net.is_settled:
        if network.now >= deadline:
            left = net.books.under_way
            raise Violation("liveness", f"{left} messages under way {patience:.0f} s after healing")
        network.run_until(lambda: False, network.now + 0.5 * scale)
    net.stats["seconds to drain"] = int(network.now - scenario.heal_at)
    net.close_books()
    for chain, (height, top) in zip(net.chains, highest, strict=True):
        spare = len(chain.audience) + 4
        for later, round in chain.observer.rounds.items():
            if later > height and round > spare + (top if later == height + 1 else 0):
                raise Violation("rounds", f"{chain.name}height {later} took {round} rounds")
