"""Scenario files: what is right, what is said about what is not, and what the generator makes."""

from pathlib import Path

import pytest

from node.cluster.errors import InvariantBroken
from node.cluster.fault_model import Partition
from node.cluster.make import make_network
from node.cluster.scenario.file import (
    Load,
    NetworkTable,
    Scenario,
    ScenarioCondition,
    load_scenario,
)
from node.cluster.scenario.generate import generate_scenario, touches_processes
from node.cluster.scenario.load import LoadRun, LoadTransaction
from node.config.toml import parse_toml, render_toml
from node.primitives.errors import UserError

EXAMPLES = sorted((Path(__file__).parents[4] / "examples" / "scenarios").glob("*.toml"))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_right(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.title
    assert scenario.expect
    assert parse_toml(render_toml(scenario), Scenario) == scenario


def test_an_empty_file_is_a_network_on_which_nothing_happens(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, ""))
    assert scenario == Scenario()
    manifest = scenario.manifest()
    assert (manifest.shards, manifest.validators, manifest.rpc.port) == (2, 4, 0)
    assert manifest.protocol_params().dev_methods


def test_a_step_in_full(tmp_path: Path) -> None:
    text = """
    [[step]]
    name = "split"
    after = 1
    when = { is = "blocks", chain = "s1", more = 2, within = 5.0 }
    fault = { kind = "partition", groups = [["s0"], ["s1v0"]], cut = true }
    for = 2.5
    [[step]]
    heal = ["split", "all"]
    """
    first, second = load_scenario(write(tmp_path, text)).step
    assert first.fault == Partition(groups=(("s0",), ("s1v0",)), cut=True)
    assert first.when == ScenarioCondition(is_="blocks", chain="s1", more=2, within=5.0)
    assert (first.lasts, first.after, second.heal) == (2.5, 1.0, ("split", "all"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[step]]\nat = 1\nfalut = 3", r"unknown key 'step\[0\]\.falut'; did you mean 'fault'"),
        ("[network]\nshard = 1", r"unknown key 'network\.shard'"),
        ("[network.params]\nheartbeet = 1", r"heartbeet"),
        ("[[step]]\nat = -1", r"step\[0\]\.at"),
        ("[[step]]\nname = 'x'", r"step\[0\]: the step has no condition and no action"),
        ("[[step]]\nfault = {kind='kil', nodes=['s0']}", r"step\[0\]\.fault.*kil|kil.*fault"),
        ("[[step]]\nfault = {kind='kill', node=['s0']}", r"node"),
        ("[[step]]\nfault = {kind='kill', nodes=['s0v9']}", r"there is no node 's0v9'"),
        ("[[step]]\nfault = {kind='freeze', shard=2}", r"fault\.shard: there are shards 0 to 1"),
        ("[[step]]\nfault = {kind='lane', src=0, dst=5}", r"fault\.dst: there are shards"),
        (
            "[[step]]\nfault = {kind='freeze', shard=1}\nfor = 2",
            r"no fault here that could be healed",
        ),
        ("[[step]]\nat = 1\nfor = 2", r"no fault here that could be healed"),
        ("[[step]]\nrestart = ['s0v0']\nheal = ['all']", r"heal, restart in one step"),
        ("[[step]]\nheal = ['later']", r"no step before it has the name 'later'"),
        ("[[step]]\nname='a'\nat=1\n[[step]]\nname='a'\nat=2", r"'a' is another step already"),
        ("[[step]]\nat=1\nsays='x'", r"only a step with start waits for a line of the log"),
        ("[[expect]]\nis = 'blocks'\nchain = 's0'", r"expect\[0\].*'more' is missing"),
        ("[[expect]]\nis = 'quiet'\nshard = 0", r"'shard' is not looked at"),
        ("[[expect]]\nis = 'blocks'\nchain='s7'\nmore=1", r"'s7' is none of beacon, s0, s1"),
        ("[[expect]]\nis = 'level'\nnodes=['s0v8']", r"expect\[0\]\.nodes.*'s0v8'"),
        ("[[expect]]\nis = 'receipts'", r"no receipts without a load"),
        ("[[load]]\nrate = 0", r"load\[0\]\.rate"),
        ("invariants = ['audits']", r"invariants"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=reason) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.slow
def test_generated_scenarios_are_right_and_follow_from_their_seed() -> None:
    kinds: set[str] = set()
    for seed in range(300):
        scenario = generate_scenario(seed)
        assert scenario == generate_scenario(seed)
        assert parse_toml(render_toml(scenario), Scenario) == scenario
        nodes = scenario.manifest().node_names()
        found = {step.fault.kind for step in scenario.step if step.fault is not None}
        assert len(nodes) > 1 or not found & {"delay", "loss", "partition"}
        kinds |= found
        assert all(step.fault is None or step.lasts is not None for step in scenario.step)
        now = back = 0.0
        for step in scenario.step:
            now += step.after or 0.0
            if touches_processes(step):
                assert now > back, (seed, step)
                back = now + (step.lasts or 0.0)
        traitors = [name for c in scenario.expect if c.is_ == "jailed" for name in c.nodes or ()]
        assert len({name[:2] for name in traitors}) == len(traitors)
    assert kinds == {
        "kill", "stop", "delay", "loss", "clock", "disk", "corrupt", "partition", "lane", "withhold",
        "equivocate",
    }  # fmt: skip
    assert generate_scenario(1) != generate_scenario(2)


@pytest.mark.parametrize(
    ("found", "ok", "reason"),
    [
        (["0x5"], True, None),
        (["0x0"], False, None),
        (["0xa"], True, "10 of wei, not 5"),
        (["0x0"], True, "0 of wei"),
        (["0x5"], False, "not 0"),
    ],
)
def test_what_was_sent_has_arrived_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[str], ok: bool, reason: str | None
) -> None:
    scenario = Scenario(network=NetworkTable(shards=1, validators=1))
    layout = make_network(scenario.manifest(), tmp_path / "network")
    load = LoadRun(layout, [Load()], seed=1)
    load.sent.append(
        LoadTransaction(
            hash="0x1", raw=b"", sender="0x2", src=0, dst=0, to=bytes(20), amount=5, token=None
        )
    )
    load.receipts["0x1"] = ok
    monkeypatch.setattr("node.cluster.scenario.load.call_each", lambda url, calls: found)
    if reason is None:
        assert load.check_once() == 1
    else:
        with pytest.raises(InvariantBroken, match=reason):
            load.check_once()
