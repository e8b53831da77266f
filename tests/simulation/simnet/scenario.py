"""What a schedule consists of, as data, and how one is drawn from a seed."""

import random
from dataclasses import dataclass, field
from enum import Enum


class Behaviour(Enum):
    """What a faulty participant does; see ``byzantine.py``. One can do several things."""

    EQUIVOCATING_PROPOSER = "proposes two blocks in one round"
    DOUBLE_VOTER = "tells two groups of nodes different votes"
    ECHO = "tells everybody the votes they want to hear"
    TWIN = "two nodes with one key"
    WITHHOLDER = "keeps its votes to itself, or tells only some"
    NIL_VOTER = "votes for nil whatever is proposed"
    SPAMMER = "votes in rounds and heights that are over or far off, and forges"
    INVALID_PROPOSER = "proposes invalid blocks and votes for them"
    REPLAYER = "sends old messages of anybody again"
    AMNESIAC = "restarts often, and with an empty disk"
    LOSES_LOG = "restarts without its log, but with its last-signed record"
    LATECOMER = "contradicts its votes when the height is probably decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Nothing passes between a side and the rest from ``start`` to ``end`` (seconds)."""

    start: float
    end: float
    side: frozenset[int]
    lets_faulty_through: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLink:
    """One direction of one link is worse than the others."""

    sender: int
    receiver: int
    loss: float
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A node is killed at ``start`` and started again at ``end`` (seconds)."""

    start: float
    end: float
    node: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run. All faults but those of Byzantine participants end at ``heal_at``.

    Durations are in virtual seconds; chances are per message, or per effect for crashes.
    """

    powers: tuple[int, ...]
    heights: int = 2
    """Heights to decide before the end of the faults, at most; a few more are decided after it."""
    followers: int = 0
    heal_at: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    slow: float = 0.0
    """Chance that a message takes up to ``slow_delay`` instead of ``delay``."""
    slow_delay: float = 0.0
    delay: float = 0.05
    links: tuple[BadLink, ...] = ()
    partitions: tuple[Partition, ...] = ()
    crash_rate: float = 0.0
    crash_points: frozenset[tuple[int, int]] = frozenset()
    """(node, n): the node dies at the n-th boundary that it comes to in all its lives."""
    outages: tuple[Outage, ...] = ()
    skew: tuple[float, ...] = ()
    """By what factor each node's timers are late, 1.0 where not given. From a factor of 2 between
    two nodes on there need be no progress: the fast one gives up each round before the slow one,
    whose turn it is, has left the round before."""
    faulty: tuple[tuple[int, frozenset[Behaviour]], ...] = ()
    rotate_powers: bool = False
    """Every height has other powers. Only without faulty nodes."""
    timeout_scale: float = 1.0
    """Small ones make rounds end while their messages are on the way."""
    execution: float = 0.0
    """Seconds that it takes to build or to judge a block, at most; at least half of that."""
    real_disk: bool = False
    """The node's own journal, write-ahead log and last-signed record, in files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A scenario with its seed. ``only`` names the faults that may happen; None allows all."""

    seed: int
    scenario: Scenario
    only: frozenset[str] | None = field(default=None, repr=False)


SIZES = (1, 2, 3, 4, 4, 4, 4, 4, 4, 5, 5, 6, 7, 7, 8, 10, 13, 16)


def draw_powers(draw: random.Random) -> tuple[int, ...]:
    """Stakes of 1 to 16 validators: equal, mixed, or very unequal."""
    n = draw.choice(SIZES)
    match draw.randrange(3):
        case 0:
            return (1,) * n
        case 1:
            return tuple(draw.randint(1, 10) for _ in range(n))
        case _:
            return tuple(draw.choice((1, 2, 50, 32_000_000_000)) for _ in range(n))


def draw_faulty(
    draw: random.Random, powers: tuple[int, ...]
) -> tuple[tuple[int, frozenset[Behaviour]], ...]:
    """Nodes with less than a third of the stake between them, and what each of them does."""
    chosen: list[int] = []
    for node in draw.sample(range(len(powers)), len(powers)):
        if 3 * sum(powers[i] for i in (*chosen, node)) < sum(powers):
            chosen.append(node)
    chosen = chosen[: draw.randint(0, len(chosen))][:5]
    everyone = draw.random() < 0.4
    menu = [behaviour for behaviour in Behaviour if behaviour is not Behaviour.LATECOMER]
    shared = frozenset(draw.sample(menu, draw.choice((1, 1, 2, 3))))
    return tuple(
        (node, shared if everyone else frozenset(draw.sample(menu, draw.choice((1, 1, 2)))))
        for node in sorted(chosen)
    )


def add_latecomers(
    seed: int, faulty: tuple[tuple[int, frozenset[Behaviour]], ...]
) -> tuple[tuple[int, frozenset[Behaviour]], ...]:
    """Some of the faulty nodes also contradict themselves late. (Drawn apart: it came later, and
    seeds keep their schedules.)"""
    draw = random.Random(f"latecomers {seed}")
    late = frozenset({Behaviour.LATECOMER})
    return tuple((node, what | late if draw.random() < 0.2 else what) for node, what in faulty)


def draw_execution(seed: int, scale: float) -> float:
    """Seconds that blocks take at most: often none, else about a propose timeout, or several of them."""
    draw = random.Random(f"execution {seed}")
    return scale * draw.choice((0.0, 0.0, 0.0, 0.8, 4.0))


def draw_schedule(seed: int) -> Schedule:
    """Faults of every kind, by chance."""
    draw = random.Random(f"schedule {seed}")
    storm = draw.random() < 0.5  # rounds end long before their messages arrive
    powers = draw_powers(draw)
    large = len(powers) > 7
    if storm and large:
        powers, large = powers[:4], False
    followers = draw.choice((0, 0, 0, 1))
    nodes = len(powers) + followers
    scale = 0.02 if storm else draw.choice((1.0, 0.3))
    heal_at = draw.uniform(0.0, 2.0) if storm else draw.uniform(0.0, 5.0 if large else 12.0)
    faulty = add_latecomers(seed, draw_faulty(draw, powers) if draw.random() < 0.65 else ())

    def side() -> frozenset[int]:
        return frozenset(i for i in range(nodes) if draw.random() < 0.5)

    def span() -> tuple[float, float]:
        start = draw.uniform(0, heal_at)
        return start, draw.uniform(start, heal_at)

    partitions = []
    if faulty and draw.random() < 0.5:
        partitions.append(Partition(start=0.0, end=heal_at, side=side(), lets_faulty_through=True))
    for _ in range(draw.choice((0, 0, 1, 3))):
        start, end = span()
        partitions.append(Partition(start=start, end=end, side=side()))
    outages = []
    if draw.random() < 0.15:  # everybody at once
        start, end = span()
        outages = [Outage(start=start, end=end, node=node) for node in range(nodes)]
    slowest = draw.choice((0.05, 0.2, 0.5) if storm else (0.1, 0.5, 2.0))
    links = tuple(
        BadLink(
            sender=draw.randrange(nodes),
            receiver=draw.randrange(nodes),
            loss=draw.choice((0.0, 0.5, 1.0)),
            delay=draw.uniform(0, slowest),
        )
        for _ in range(draw.choice((0, 0, 2, nodes)))
    )
    return Schedule(
        seed=seed,
        scenario=Scenario(
            powers=powers,
            heights=1 if large else draw.randint(1, 4),
            followers=followers,
            heal_at=heal_at,
            loss=draw.choice((0.0, 0.05, 0.2, 0.5)),
            duplication=draw.choice((0.0, 0.1)),
            slow=draw.choice((0.0, 0.1, 0.5)),
            slow_delay=slowest,
            delay=0.05 * scale,
            links=links,
            partitions=tuple(partitions),
            crash_rate=draw.choice((0.0, 0.0, 0.005, 0.02)),
            outages=tuple(outages),
            skew=tuple(draw.uniform(0.8, 1.25) for _ in range(nodes))
            if draw.random() < 0.5
            else (),
            faulty=faulty,
            rotate_powers=draw.random() < 0.3,
            timeout_scale=scale,
            execution=draw_execution(seed, scale),
        ),
    )
