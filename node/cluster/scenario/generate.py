"""Random scenarios from a seed, which every sound network has to pass.

In the manner of the generator of CometBFT's end-to-end tests: the shape of the network, the loads and the
faults are drawn, with what the protocol promises in mind. Everything is healed in the end, at most one
validator of a committee of four or more is a traitor, and a database is deleted only where others have its
blocks.
"""

import random

import msgspec

from node.cluster import fault_model
from node.cluster.scenario.file import Load, NetworkTable, Scenario, ScenarioCondition, ScenarioStep

STEPS = (3, 7)
LASTS = (1.0, 8.0)
PATIENCE = 180.0


def generate_scenario(seed: int) -> Scenario:
    """The scenario of this seed. Always the same, and right."""
    draw = random.Random(f"scenario {seed}")
    shards = draw.choice((1, 2, 2, 3))
    validators = draw.choice((1, 2, 4)) if shards < 3 else draw.choice((1, 2))
    network = NetworkTable(
        shards=shards,
        validators=validators,
        beacon_size=draw.choice((1, min(4, shards * validators))),
        params={"heartbeat": draw.choice((0.5, 1.0, 3.0))},
    )
    loads = tuple(
        Load(
            kind=draw.choice(("transfers", "token")),
            rate=float(draw.randint(2, 20)),
            count=draw.randint(20, 150),
            cross=round(draw.random(), 2) if shards > 1 else 0.0,
        )
        for _ in range(draw.randint(1, 2))
    )
    names = [f"s{shard}v{index}" for shard in range(shards) for index in range(validators)]
    traitors: dict[str, str] = {}
    steps, away = list[ScenarioStep](), 0.0
    for number in range(draw.randint(*STEPS)):
        step = _step(draw, number, _fault(draw, names, shards, validators, traitors))
        after = step.after or 0.0
        if touches_processes(step):  # one after the other: what is away cannot be killed
            after = round(max(after, away), 1)
            step = msgspec.structs.replace(step, after=after)
            away = 0.0 if step.lasts is None else step.lasts + 0.5
        else:
            away -= after
        steps.append(step)
    chains = ["beacon", *(f"s{shard}" for shard in range(shards))]
    expect = (
        ScenarioCondition(is_="receipts", within=PATIENCE),
        *(
            ScenarioCondition(is_="blocks", chain=chain, more=2, within=PATIENCE)
            for chain in chains
        ),
        ScenarioCondition(is_="level", nodes=("all",), within=PATIENCE),
        ScenarioCondition(is_="quiet", within=PATIENCE),
    )
    jailed = tuple(sorted(traitors.values()))
    if jailed:
        expect += (ScenarioCondition(is_="jailed", nodes=jailed, within=PATIENCE),)
    return Scenario(
        title=f"generated from seed {seed}",
        seed=seed,
        network=network,
        load=loads,
        step=tuple(steps),
        expect=expect,
        invariants_every=5.0,
    ).check()


def touches_processes(step: ScenarioStep) -> bool:
    """True if nodes are away because of the step, for a moment or until it is healed."""
    return bool(step.restart) or isinstance(
        step.fault, fault_model.Kill | fault_model.Stop | fault_model.Disk | fault_model.Corrupt
    )


def _step(draw: random.Random, number: int, fault: fault_model.Fault | str) -> ScenarioStep:
    after = round(draw.uniform(0.2, 4.0), 1)
    if isinstance(fault, str):
        return ScenarioStep(name=f"{number}", after=after, restart=(fault,))
    return ScenarioStep(
        name=f"{number}", after=after, fault=fault, lasts=round(draw.uniform(*LASTS), 1)
    )


def _fault(
    draw: random.Random,
    names: list[str],
    shards: int,
    validators: int,
    traitors: dict[str, str],
) -> fault_model.Fault | str:
    """A fault, or the name of a node to be started again."""
    node = draw.choice(names)
    some = tuple(sorted(draw.sample(names, draw.randint(1, len(names)))))
    kinds = ["kill", "stop", "clock", "restart", "disk", "corrupt"]
    kinds += ["delay", "loss", "partition", "partition"] if len(names) > 1 else []
    kinds += ["lane", "lane", "withhold"] if shards > 1 else []
    kinds += ["equivocate"] if validators >= 4 and node[:2] not in traitors else []
    match draw.choice(kinds):
        case "kill":
            return fault_model.Kill(nodes=(node,))
        case "stop":
            return fault_model.Stop(nodes=some)
        case "delay":
            return fault_model.Delay(
                seconds=round(draw.uniform(0.05, 0.6), 2), jitter=round(draw.uniform(0, 0.3), 2)
            )
        case "loss":
            return fault_model.Loss(ratio=round(draw.uniform(0.05, 0.4), 2))
        case "clock":
            # What is ahead by more than proposals may be would have to be waited for.
            return fault_model.ClockSkew(nodes=(node,), seconds=round(draw.uniform(-3600, 5), 1))
        case "partition":
            cut = draw.random() < 0.5
            group = tuple(sorted(draw.sample(names, draw.randint(1, len(names) - 1))))
            return fault_model.Partition(groups=(group,), cut=cut)
        case "lane":
            src, dst = draw.sample(range(shards), 2)
            return fault_model.Lane(src=src, dst=dst)
        case "withhold":
            return fault_model.Withhold(nodes=(node,))
        case "equivocate":
            traitors[node[:2]] = node
            return fault_model.Equivocate(nodes=(node,), late=draw.choice((0, 0, 2)))
        case "disk":
            return fault_model.Disk(nodes=(node,), free=draw.randint(0, 200_000))
        case "corrupt":
            files = ("wal", "signed") if validators < 4 else ("log", "manifest", "wal", "signed")
            return fault_model.Corrupt(nodes=(node,), file=draw.choice(files))  # type: ignore[arg-type]
        case _:
            return node
