"""Faults of a network that does not run: what they are, what each node is told, the book they stand in."""

from pathlib import Path

import msgspec
import pytest

from node.cluster.fault_model import (
    ActiveFault,
    ClockSkew,
    Delay,
    Equivocate,
    Fault,
    Lane,
    Loss,
    Partition,
    Withhold,
    describe,
    faults_of_node,
    names_of,
)
from node.cluster.faults.damage import damage, repair
from node.cluster.faults.fault_table import faults_document
from node.cluster.faults.injection import Faults
from node.cluster.layout import NetworkLayout, clear_directory, load_layout
from node.cluster.make import make_network
from node.cluster.manifest import Manifest, RpcSection
from node.config.node_config import load_node_config
from node.config.node_faults import LinkFaults, NodeFaults
from node.primitives.errors import UserError
from node.storage.level import LevelStore

CUT, SILENT = LinkFaults(cut=True), LinkFaults(loss=1.0)


@pytest.fixture
def layout(tmp_path: Path) -> NetworkLayout:
    manifest = Manifest(shards=2, validators=2, seed="faults", rpc=RpcSection(port=0))
    return make_network(manifest, tmp_path / "network")


@pytest.fixture
def faults(layout: NetworkLayout) -> Faults:
    return Faults(layout.directory, seed=9)


def told(layout: NetworkLayout, *active: Fault) -> dict[str, NodeFaults]:
    items = [ActiveFault(name=f"{i}", fault=fault, seed=5) for i, fault in enumerate(active)]
    return {node.name: faults_of_node(layout, node, items) for node in layout.nodes}


def in_files(layout: NetworkLayout) -> dict[str, NodeFaults]:
    return {node.name: load_node_config(node.files.config).faults for node in layout.nodes}


# ---------------------------------------------------------------------- what each node is told


def test_names_stand_for_nodes_shards_and_all(layout: NetworkLayout) -> None:
    assert names_of(layout, ["s1", "s0v1", "s1v0"]) == ["s0v1", "s1v0", "s1v1"]
    assert names_of(layout, ["all"]) == ["s0v0", "s0v1", "s1v0", "s1v1"]
    with pytest.raises(UserError, match="there is no node 's2'"):
        names_of(layout, ["s2"])


def test_a_partition_is_told_to_both_ends_and_who_is_in_no_group_is_a_group(
    layout: NetworkLayout,
) -> None:
    found = told(layout, Partition(groups=(("s0v0",), ("s0v1", "s1v0")), cut=True))
    assert found["s0v0"].links == dict.fromkeys(("s0v1", "s1v0", "s1v1"), CUT)
    assert found["s0v1"].links == dict.fromkeys(("s0v0", "s1v1"), CUT)
    assert found["s1v1"].links == dict.fromkeys(("s0v0", "s0v1", "s1v0"), CUT)
    silent = told(layout, Partition(groups=(("s0",), ("s1",))))
    assert silent["s1v1"].links == dict.fromkeys(("s0v0", "s0v1"), SILENT)


def test_links_go_both_ways_unless_one_is_asked_for(layout: NetworkLayout) -> None:
    late = LinkFaults(delay=0.5, jitter=0.25)
    fault = Delay(seconds=0.5, jitter=0.25, src=("s0v0",), dst=("s0v1",))
    assert told(layout, fault)["s0v1"].links == {"s0v0": late}
    found = told(layout, msgspec.structs.replace(fault, one_way=True))
    assert (found["s0v0"].links, found["s0v1"].links) == ({"s0v1": late}, {})
    everywhere = told(layout, Loss(ratio=0.1))
    assert all(len(node.links) == 3 for node in everywhere.values())


def test_several_faults_of_one_link_add_up(layout: NetworkLayout) -> None:
    link = {"src": ("s0v0",), "dst": ("s1v1",)}
    found = told(
        layout,
        Delay(seconds=0.5, **link),
        Delay(seconds=1.0, jitter=0.5),
        Loss(ratio=0.5, **link),
        Loss(ratio=0.5, **link),
    )
    assert found["s0v0"].links["s1v1"] == LinkFaults(delay=1.5, jitter=0.5, loss=0.75)
    assert found["s0v0"].seed == 5


def test_what_is_told_of_the_other_kinds(layout: NetworkLayout) -> None:
    found = told(
        layout,
        Lane(src=0, dst=1),
        ClockSkew(nodes=("s0",), seconds=-3),
        ClockSkew(nodes=("s0v0",), seconds=5),
        Equivocate(nodes=("s1v0",), late=2),
        Withhold(nodes=("s1v1",)),
    )
    assert found == {
        "s0v0": NodeFaults(clock=2),
        "s0v1": NodeFaults(clock=-3),
        "s1v0": NodeFaults(lanes=(0,), equivocate=True, late=2),
        "s1v1": NodeFaults(lanes=(0,), withhold=True),
    }


# ---------------------------------------------------------------------- caused and healed


def test_it_stands_in_the_files_until_it_is_healed(layout: NetworkLayout, faults: Faults) -> None:
    files = {node.name: node.files.config for node in layout.nodes}
    before = {name: path.read_text() for name, path in files.items()}

    first = faults.equivocate("s0v1")
    second = faults.clock(2.5, "s0v1")
    assert in_files(layout)["s0v1"] == NodeFaults(equivocate=True, clock=2.5)
    assert files["s0v0"].read_text() == before["s0v0"]
    assert load_layout(layout.directory).nodes[0] == layout.nodes[0]
    assert [item.name for item in Faults(layout.directory).list()] == ["equivocate-1", "clock-1"]

    first.heal()
    assert in_files(layout)["s0v1"] == NodeFaults(clock=2.5)
    second.heal()
    second.heal()  # it is over: nothing to do
    assert {name: path.read_text() for name, path in files.items()} == before
    assert faults.list() == []
    assert not (layout.directory / "faults.json").exists()


def test_names_are_given_once(faults: Faults) -> None:
    assert [faults.clock(1, "s0").name, faults.clock(1, "s1").name] == ["clock-1", "clock-2"]
    faults.heal("clock-1")
    assert faults.clock(1, "s0").name == "clock-1"
    faults.cause(Lane(src=0, dst=1), name="mine")
    with pytest.raises(UserError, match="there is a fault 'mine' already"):
        faults.cause(Lane(src=1, dst=0), name="mine")


def test_the_end_of_a_block_heals(faults: Faults, layout: NetworkLayout) -> None:
    with faults.partition([["s0"], ["s1"]], cut=True) as fault:
        assert in_files(layout)["s0v0"].links == dict.fromkeys(("s1v0", "s1v1"), CUT)
        assert in_files(layout)["s0v0"].seed == 9
        assert fault.name == "partition-1"
    assert all(found == NodeFaults() for found in in_files(layout).values())


def test_heal_takes_names_or_all(faults: Faults) -> None:
    for shard in (0, 1):
        faults.lane(shard, 1 - shard)
    faults.withhold("s1")
    with pytest.raises(UserError, match=r"no fault 'lane-3' in force; there is: lane-1, lane-2"):
        faults.heal("lane-3")
    assert [item.name for item in faults.heal("lane-2")] == ["lane-2"]
    assert [item.name for item in faults.heal()] == ["lane-1", "withhold-1"]
    assert faults.heal() == []


def test_a_book_that_makes_no_sense_is_said_to_be_one(
    faults: Faults, layout: NetworkLayout
) -> None:
    (layout.directory / "faults.json").write_text("[{]")
    with pytest.raises(UserError, match=r"faults\.json: not a list of faults"):
        faults.list()
    clear_directory(layout.directory)
    assert not list(layout.directory.glob("faults*"))


# ---------------------------------------------------------------------- mistakes of a person


def test_what_cannot_be_is_refused_and_not_kept(faults: Faults) -> None:
    for cause, reason in (
        (lambda: faults.equivocate("nobody"), "there is no node 'nobody'"),
        (lambda: faults.kill("s0v0"), "s0v0 does not run"),
        (lambda: faults.stop("s0"), "s0v0, s0v1 does not run"),
        (lambda: faults.kill(), "kill: no node is named"),
        (lambda: faults.partition([["s0", "s1"]]), "two groups of nodes"),
        (lambda: faults.partition([["s0"], ["s0v1"]]), "s0v1 is in two groups"),
        (lambda: faults.lane(0, 0), "between two shards"),
        (lambda: faults.lane(0, 2), "there is no shard 2: they are 0 to 1"),
        (lambda: faults.freeze(7), "there is no shard 7"),
        (lambda: faults.loss(1.5), "loss: .*<= 1"),
        (lambda: faults.delay(-1), "delay: .*>= 0"),
        (lambda: faults.corrupt("s0v0"), "s0v0 has no table .* LevelDB writes one"),
        (lambda: faults.disk("s0", free=-1), "disk: .*>= 0"),
        (lambda: faults.corrupt("s0", file="heap"), "corrupt: .*heap"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UserError, match=reason):
            cause()
    assert faults.list() == []


def test_a_follower_has_nothing_to_contradict(layout: NetworkLayout) -> None:
    config = layout.nodes[1].files.config
    text = "\n".join(
        line for line in config.read_text().splitlines() if "validator_key" not in line
    )
    config.write_text(text)
    with pytest.raises(UserError, match="s0v1 is no validator"):
        Faults(layout.directory).equivocate("s0v1")
    config.write_text(text.replace("equivocate = false", "equivocate = true"))
    with pytest.raises(UserError, match=r"faults\.equivocate"):
        load_node_config(config)


def test_a_link_to_nobody_is_the_users_mistake(layout: NetworkLayout) -> None:
    config = layout.nodes[0].files.config
    config.write_text(config.read_text() + "\n[faults.links.s9v9]\ncut = true\n")
    with pytest.raises(UserError, match=r"faults\.links\.s9v9.*none of this node's peers"):
        load_node_config(config)


# ---------------------------------------------------------------------- damage


def test_a_damaged_database_is_repaired_by_its_absence(layout: NetworkLayout) -> None:
    node = layout.nodes[0]
    for _ in range(2):  # the second opening writes the log of the first into a table
        store = LevelStore.open(node.config.data_dir / "chain")
        store.write({b"%d" % i: bytes(100) for i in range(100)}, sync=True)
        store.close()
    for file in ("table", "log", "manifest"):
        path = damage(node, file)  # type: ignore[arg-type]
        assert path.parent == node.config.data_dir / "chain"
    assert any((node.files.directory / "whole").iterdir())
    repair(node, "table")
    assert not (node.config.data_dir / "chain").exists()
    assert not (node.files.directory / "whole").exists()


def test_a_damaged_record_is_restored(layout: NetworkLayout) -> None:
    node = layout.nodes[0]
    path = node.config.data_dir / "consensus" / "shard-0.signed"
    path.parent.mkdir()
    path.write_bytes(whole := bytes(range(256)) * 20)
    assert damage(node, "signed") == path
    changed = [i for i, (a, b) in enumerate(zip(path.read_bytes(), whole, strict=True)) if a != b]
    assert changed == [20, 1044, 2068, 3092, 4116]
    repair(node, "signed")
    assert path.read_bytes() == whole


# ---------------------------------------------------------------------- what is shown


def test_every_kind_has_words_and_survives_the_book(layout: NetworkLayout) -> None:
    from node.cluster import fault_model as model

    every: list[Fault] = [
        model.Kill(nodes=("s0v0",)),
        model.Stop(nodes=("s0",)),
        Partition(groups=(("s0",),), cut=True),
        Delay(seconds=0.1, jitter=0.2, src=("s0",)),
        Loss(ratio=0.25, one_way=True),
        Lane(src=0, dst=1),
        model.Freeze(shard=1),
        Equivocate(nodes=("s0v0",), late=3),
        Withhold(nodes=("s0v0",)),
        model.Corrupt(nodes=("s0v0",), file="wal"),
        model.Disk(nodes=("s0v0",), free=10),
        ClockSkew(nodes=("s0v0",), seconds=-1),
    ]
    assert {fault.kind for fault in every} == set(model.KINDS)
    items = [ActiveFault(name=f"{i}", fault=fault) for i, fault in enumerate(every)]
    encoded = msgspec.json.encode(items)
    assert msgspec.json.decode(encoded, type=list[ActiveFault]) == items
    words = [describe(fault) for fault in every]
    assert len(set(words)) == len(words)
    assert "s0 | the others apart, connections cut" in words
    assert "all -> all: 25% lost" in words
    document = faults_document(items, {})
    assert document["faults"][5] == {
        "name": "5",
        "what": "lane 0 -> 1 held",
        "fault": {"kind": "lane", "src": 0, "dst": 1},
    }
