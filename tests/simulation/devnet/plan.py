"""What a schedule of a whole network consists of, as data, and how one is drawn from a seed."""

import random
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache

from node.primitives.genesis import Params
from node.primitives.placement import home_by_range
from tests.simulation.devnet.corrupt import Lie
from tests.simulation.simnet.scenario import BadLink, Behaviour, Outage, Partition, Scenario
from tests.simulation.simnet.scheme import MAX_KEYS, address

GWEI = 10**9
CORRUPT = 0.25
"""Share of the networks in which one shard is corrupt."""
HEAVY = 0.3
"""Share of the committees in which one has three quarters of the stake."""


class Slyness(Enum):
    """What a faulty node does beside consensus."""

    WITHHOLDS_ARRIVALS = "proposes blocks without arrivals"
    LIES_ABOUT_LANES = "gives away lanes that are shortened, changed or out of order"
    KEEPS_CROSSLINKS = "tells nobody what its shard has decided"
    FORGES = "shows others what nobody has decided, done or said; see forger.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. Nodes are numbered through all shards.

    ``shards`` has the stakes of each shard's validators, ``beacon`` the nodes that have a seat there,
    too. ``scenario`` has the faults of links, clocks, processes and keys; its powers are all stakes.
    ``corrupt`` is a shard whose whole committee tells ``lies``.
    """

    seed: int
    shards: tuple[tuple[int, ...], ...]
    beacon: frozenset[int]
    params: Params
    scenario: Scenario
    sly: dict[int, frozenset[Slyness]] = field(default_factory=dict)
    corrupt: int | None = None
    lies: frozenset[Lie] = frozenset()
    only: frozenset[str] | None = field(default=None, repr=False)

    @property
    def homes(self) -> list[int]:
        """The shard of each node."""
        return [shard for shard, row in enumerate(self.shards) for _ in row]


@cache
def keys_of(shard: int, shards: int) -> tuple[int, ...]:
    """The numbers of keys whose addresses are at home on a shard."""
    return tuple(k for k in range(MAX_KEYS) if home_by_range(address(k), shards) == shard)


SAFE = [b for b in Behaviour if b is not Behaviour.TWIN]
"""A twin is another node with the same key, which there is none of here."""


def draw_plan(seed: int) -> Plan:
    """Faults of every kind, by chance."""
    draw = random.Random(f"devnet {seed}")
    count = draw.choice((2, 2, 2, 3))
    sizes = [draw.choice((1, 1, 2)) for _ in range(count)]
    for shard in range(draw.choice((0, 0, 1, 1, 1, 2))):
        sizes[shard] = 4
    weighted = draw.random() < 0.3
    heavy = random.Random(f"heavy {seed}")
    shards = tuple(
        _with_a_heavy_one(heavy, tuple(draw.randint(1, 4) if weighted else 1 for _ in range(size)))
        for size in sizes
    )
    powers = tuple(stake for row in shards for stake in row)
    nodes = range(len(powers))
    seats = draw.choice((1, 3, 4, len(powers)))
    beacon = frozenset(draw.sample(nodes, min(seats, len(powers))))
    plan = Plan(
        seed=seed,
        shards=shards,
        beacon=beacon,
        params=_params(draw, dev_methods=draw.random() < 0.25),
        scenario=_scenario(draw, powers),
    )
    if random.Random(f"corrupt {seed}").random() < CORRUPT:
        return _with_corrupt(random.Random(f"lies {seed}"), plan)
    if draw.random() < 0.6:
        plan = _with_faulty(draw, plan)
    return plan


def _with_corrupt(draw: random.Random, plan: Plan) -> Plan:
    """A shard is corrupt as a whole. None of it has a seat on the beacon: a third there breaks more."""
    corrupt = draw.randrange(len(plan.shards))
    nodes = [i for i, home in enumerate(plan.homes) if home == corrupt]
    others = [i for i, home in enumerate(plan.homes) if home != corrupt]
    beacon = frozenset(i for i in plan.beacon if i in others) or frozenset(others[:1])
    faulty: tuple[tuple[int, frozenset[Behaviour]], ...] = tuple((i, frozenset()) for i in nodes)
    return replace(
        plan,
        beacon=beacon,
        scenario=replace(plan.scenario, faulty=faulty),
        corrupt=corrupt,
        lies=frozenset(draw.sample(list(Lie), draw.choice((1, 2, 3, len(Lie))))),
    )


def _with_a_heavy_one(draw: random.Random, stakes: tuple[int, ...]) -> tuple[int, ...]:
    """Now and then one has three quarters of the stake: then many heads are little of it."""
    place = draw.randrange(len(stakes))
    if draw.random() >= HEAVY:
        return stakes
    rest = sum(stakes) - stakes[place]
    return (*stakes[:place], max(1, 3 * rest), *stakes[place + 1 :])


def _params(draw: random.Random, *, dev_methods: bool) -> Params:
    choice = draw.choice
    return Params(
        gas_limit=(gas_limit := choice((300_000, 600_000))),
        message_gas_limit=gas_limit // 2,
        base_fee=choice((0, 7, GWEI)),
        timeout_scale=1e6,  # building is bounded by real time, of which there is as much as it takes
        max_arrivals=choice((0, 1, 3, 20)),
        lane_window=choice((1, 4, 30, 4096)),
        lane_gas_window=choice((600_000, 10_000_000, 600_000_000)),
        max_uncrosslinked=choice((2, 8, 64)),
        max_crosslinks=choice((1, 2, 32)),
        dev_methods=dev_methods,
    )


def _scenario(draw: random.Random, powers: tuple[int, ...]) -> Scenario:
    nodes = len(powers)
    heal_at = draw.uniform(1.5, 5.0)

    def side() -> frozenset[int]:
        return frozenset(i for i in range(nodes) if draw.random() < 0.5)

    def span() -> tuple[float, float]:
        start = draw.uniform(0, heal_at)
        return start, draw.uniform(start, heal_at)

    partitions = []
    for _ in range(draw.choice((0, 0, 1, 2))):
        start, end = span()
        partitions.append(Partition(start=start, end=end, side=side()))
    outages = []
    for node in range(nodes):
        if draw.random() < 0.15:
            start, end = span()
            outages.append(Outage(start=start, end=end, node=node))
    slowest = draw.choice((0.1, 0.5, 2.0))
    links = tuple(
        BadLink(
            sender=draw.randrange(nodes),
            receiver=draw.randrange(nodes),
            loss=draw.choice((0.0, 0.5, 1.0)),
            delay=draw.uniform(0, slowest),
        )
        for _ in range(draw.choice((0, 0, 2, nodes)))
    )
    scenario = Scenario(
        powers=powers,
        heal_at=heal_at,
        loss=draw.choice((0.0, 0.05, 0.2, 0.5)),
        duplication=draw.choice((0.0, 0.1)),
        slow=draw.choice((0.0, 0.1, 0.5)),
        slow_delay=slowest,
        links=links,
        partitions=tuple(partitions),
        crash_rate=draw.choice((0.0, 0.0, 0.002, 0.01)),
        outages=tuple(outages),
        skew=tuple(draw.uniform(0.8, 1.25) for _ in range(nodes)) if draw.random() < 0.3 else (),
    )
    draw.random()  # it once decided something: seeds keep their plans
    return scenario


def _with_faulty(draw: random.Random, plan: Plan) -> Plan:
    """Some nodes that deviate, with less than a third of the stake of each committee."""
    powers, homes = plan.scenario.powers, plan.homes
    committees = [
        *(
            [i for i, home in enumerate(homes) if home == shard]
            for shard in range(len(plan.shards))
        ),
        sorted(plan.beacon),
    ]
    chosen: list[int] = []
    for node in draw.sample(range(len(powers)), len(powers)):
        tried = {*chosen, node}
        if all(
            3 * sum(powers[i] for i in row if i in tried) < sum(powers[i] for i in row)
            for row in committees
        ):
            chosen.append(node)
    chosen.sort()
    faulty = tuple(
        (node, frozenset(draw.sample(SAFE, draw.choice((0, 1, 1, 2))))) for node in chosen
    )
    sly = {node: frozenset(s for s in Slyness if draw.random() < 0.6) for node in chosen}
    return replace(plan, scenario=replace(plan.scenario, faulty=faulty), sly=sly)
