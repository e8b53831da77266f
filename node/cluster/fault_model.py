"""The faults that can be caused in a network, as values: kind, place, severity.

Nodes are named as in the genesis; `s0` stands for all nodes of shard 0, `all` for all. In JSON and TOML a
fault is its fields with `kind`: {"kind": "delay", "seconds": 0.2, "src": ["s0v0"]}.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec

from node.cluster.layout import NetworkLayout, NodeLayout
from node.cluster.manifest import Manifest
from node.config.node_faults import MAX_CLOCK, MAX_LATE, LinkFaults, NodeFaults, Seconds, Share
from node.primitives.errors import UserError

Names: TypeAlias = tuple[str, ...]
File: TypeAlias = Literal["table", "log", "manifest", "wal", "signed"]
Link: TypeAlias = tuple[str, str]
"""(sender, receiver)."""


class _Fault(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag=str.lower,
    omit_defaults=True,
):
    """The common fields of all faults."""

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class Kill(_Fault, frozen=True, kw_only=True):
    """SIGKILL; healed by a start."""

    nodes: Names


class Stop(_Fault, frozen=True, kw_only=True):
    """SIGSTOP: the sockets stay open and nothing answers; healed by SIGCONT."""

    nodes: Names


class Partition(_Fault, frozen=True, kw_only=True):
    """Nothing passes between the groups. Nodes in no group form one more.

    The connections are held, and their ends find each other silent after a while, as where a router drops
    what it is given. With `cut` they are closed at once.
    """

    groups: tuple[Names, ...]
    cut: bool = False


class _Links(_Fault, frozen=True, kw_only=True):
    """The affected links: from each of `src` to each of `dst` (none: all nodes), and back unless `one_way`."""

    src: Names = ()
    dst: Names = ()
    one_way: bool = False


class Delay(_Links, frozen=True, kw_only=True):
    """Messages take from `seconds` to `seconds + jitter` longer, in their order."""

    seconds: Seconds
    jitter: Seconds = 0.0


class Loss(_Links, frozen=True, kw_only=True):
    """`ratio` of the messages (frames, requests, responses) never arrive."""

    ratio: Share


class Lane(_Fault, frozen=True, kw_only=True):
    """No node of shard `dst` fetches messages from shard `src`: they wait, and arrive when healed."""

    src: Annotated[int, msgspec.Meta(ge=0)]
    dst: Annotated[int, msgspec.Meta(ge=0)]


class Freeze(_Fault, frozen=True, kw_only=True):
    """The beacon gets two certificates of one height of the shard, made with its validators' keys, and
    freezes it. There is no way back."""

    shard: Annotated[int, msgspec.Meta(ge=0)]


class Equivocate(_Fault, frozen=True, kw_only=True):
    """Validators contradict each of their prevotes, `late` heights after it. They are slashed and jailed,
    which stays when the fault is healed."""

    nodes: Names
    late: Annotated[int, msgspec.Meta(ge=0, le=MAX_LATE)] = 0


class Withhold(_Fault, frozen=True, kw_only=True):
    """Validators propose blocks without messages from other shards."""

    nodes: Names


class Corrupt(_Fault, frozen=True, kw_only=True):
    """A node is killed, and bytes of a file of its are changed: a `table` or the `log` of the database, its
    `manifest`, the `wal` or the last-signed record (`signed`) of its shard's consensus."""

    nodes: Names
    file: File = "table"


class Disk(_Fault, frozen=True, kw_only=True):
    """After `free` more bytes the disk of a node is full."""

    nodes: Names
    free: Annotated[int, msgspec.Meta(ge=0)] = 0


class ClockSkew(_Fault, frozen=True, kw_only=True, tag="clock"):
    """The clock of a node is wrong by so many seconds."""

    nodes: Names
    seconds: Annotated[float, msgspec.Meta(ge=-MAX_CLOCK, le=MAX_CLOCK)]


Fault: TypeAlias = (
    Kill
    | Stop
    | Partition
    | Delay
    | Loss
    | Lane
    | Freeze
    | Equivocate
    | Withhold
    | Corrupt
    | Disk
    | ClockSkew
)
KINDS: Mapping[str, type[Fault]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(Fault)
}


class ActiveFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault that was caused: the name to heal it by, and the values that were determined then.

    `disks`: bytes that the data directory of each node may have. `seed`: of the losses on links.
    """

    name: str
    fault: Fault
    seed: int = 0
    disks: dict[str, int] = {}


def names_of(layout: NetworkLayout, selectors: Iterable[str]) -> list[str]:
    """The nodes that the selectors name, in the order of the genesis. Raises UserError."""
    wanted: set[str] = set()
    shards = {f"s{shard}": shard for shard in layout.genesis.shard_ids()}
    for selector in selectors:
        if selector == "all":
            wanted.update(node.name for node in layout.nodes)
        elif selector in shards:
            wanted.update(node.name for node in layout.of_shard(shards[selector]))
        else:
            wanted.add(layout.node(selector).name)
    return [node.name for node in layout.nodes if node.name in wanted]


def check_names(manifest: Manifest, selectors: Iterable[str], where: str) -> None:
    """`names_of` before there is a network. Raises UserError naming the key."""
    known = {"all", *(f"s{shard}" for shard in range(manifest.shards))}
    known.update(name for name, _, _ in manifest.node_names())
    for selector in selectors:
        if selector not in known:
            raise UserError(f"{where}: there is no node {selector!r} in this network")


def nodes_of(layout: NetworkLayout, fault: Fault) -> list[str]:
    """The nodes that the fault acts on. Raises UserError."""
    match fault:
        case Partition() | Delay() | Loss():
            ends = {end for link, _ in links_of(layout, fault) for end in link}
            return [node.name for node in layout.nodes if node.name in ends]
        case Lane():
            return [node.name for node in layout.of_shard(fault.dst)]
        case Freeze():
            return [node.name for node in layout.of_shard(fault.shard)]
        case _:
            return names_of(layout, fault.nodes)


def check_fault(layout: NetworkLayout, fault: Fault) -> None:
    """Raise UserError where the network has no such nodes or shards, or the fault would do nothing."""
    shards = layout.genesis.shard_ids()
    match fault:
        case Lane():
            for shard in (fault.src, fault.dst):
                _check_shard(shard, shards)
            if fault.src == fault.dst:
                raise UserError(f"a lane is between two shards, not from {fault.src} to itself")
        case Freeze():
            _check_shard(fault.shard, shards)
        case Partition() if len(_groups(layout, fault)) < 2:
            raise UserError(
                "a partition has at least two groups of nodes; the nodes in no group form one more"
            )
        case Equivocate() | Withhold():
            for name in names_of(layout, fault.nodes):
                if layout.node(name).config.validator_key is None:
                    raise UserError(f"{name} is no validator: it signs nothing that could be wrong")
        case _:
            pass
    if not nodes_of(layout, fault):
        raise UserError(f"{fault.kind}: no node is named")


def _check_shard(shard: int, shards: Sequence[int]) -> None:
    if shard not in shards:
        raise UserError(f"there is no shard {shard}: they are 0 to {len(shards) - 1}")


def _groups(layout: NetworkLayout, fault: Partition) -> list[list[str]]:
    groups = [names_of(layout, group) for group in fault.groups]
    for name in (node.name for node in layout.nodes):
        if sum(name in group for group in groups) > 1:
            raise UserError(f"{name} is in two groups of the partition")
    named = {name for group in groups for name in group}
    groups.append([node.name for node in layout.nodes if node.name not in named])
    return [group for group in groups if group]


def links_of(
    layout: NetworkLayout, fault: Partition | Delay | Loss
) -> Iterator[tuple[Link, LinkFaults]]:
    """The faults of each link. Raises UserError."""
    if isinstance(fault, Partition):
        effect = LinkFaults(cut=True) if fault.cut else LinkFaults(loss=1.0)
        groups = _groups(layout, fault)
        for here in groups:
            for there in groups:
                if here is not there:
                    yield from (((a, b), effect) for a in here for b in there)
        return
    if isinstance(fault, Delay):
        effect = LinkFaults(delay=fault.seconds, jitter=fault.jitter)
    else:
        effect = LinkFaults(loss=fault.ratio)
    sources, targets = (names_of(layout, names or ("all",)) for names in (fault.src, fault.dst))
    links = {(a, b) for a in sources for b in targets if a != b}
    if not fault.one_way:
        links |= {(b, a) for a, b in links}
    yield from ((link, effect) for link in sorted(links))


def faults_of_node(
    layout: NetworkLayout, node: NodeLayout, active: Iterable[ActiveFault]
) -> NodeFaults:
    """The faults that one node is told of all these."""
    told = NodeFaults()
    links: dict[str, LinkFaults] = {}
    change = msgspec.structs.replace
    for item in active:
        fault = item.fault
        if node.name not in nodes_of(layout, fault):
            continue
        match fault:
            case Partition() | Delay() | Loss():
                for (src, dst), effect in links_of(layout, fault):
                    if src == node.name:
                        links[dst] = links.get(dst, LinkFaults()).and_also(effect)
                told = change(told, seed=item.seed)
            case Lane():
                told = change(told, lanes=tuple(sorted({*told.lanes, fault.src})))
            case Equivocate():
                told = change(told, equivocate=True, late=max(told.late, fault.late))
            case Withhold():
                told = change(told, withhold=True)
            case Disk():
                limit = item.disks[node.name]
                told = change(told, disk=limit if told.disk is None else min(told.disk, limit))
            case ClockSkew():
                told = change(told, clock=told.clock + fault.seconds)
            case Kill() | Stop() | Freeze() | Corrupt():
                pass
    return change(told, links=links)


def describe(fault: Fault) -> str:
    """The fault in words, for a person."""
    match fault:
        case Kill():
            return f"{_join(fault.nodes)} killed"
        case Stop():
            return f"{_join(fault.nodes)} stopped"
        case Partition():
            groups = [_join(group) for group in fault.groups]
            if len(groups) == 1:
                groups.append("the others")
            return f"{' | '.join(groups)} apart{', connections cut' if fault.cut else ''}"
        case Delay():
            jitter = f" to {fault.seconds + fault.jitter:g}" if fault.jitter else ""
            return f"{_between(fault)}: {fault.seconds:g}{jitter} s late"
        case Loss():
            return f"{_between(fault)}: {fault.ratio:.0%} lost"
        case Lane():
            return f"lane {fault.src} -> {fault.dst} held"
        case Freeze():
            return f"shard {fault.shard} frozen, for good"
        case Equivocate():
            late = f", {fault.late} heights late" if fault.late else ""
            return f"{_join(fault.nodes)} equivocates{late}"
        case Withhold():
            return f"{_join(fault.nodes)} withholds arrivals"
        case Corrupt():
            return f"{fault.file} of {_join(fault.nodes)} damaged"
        case Disk():
            return f"disk of {_join(fault.nodes)} full after {fault.free:,} bytes"
        case ClockSkew():
            return f"clock of {_join(fault.nodes)} {fault.seconds:+g} s"


def _between(fault: Delay | Loss) -> str:
    src, dst = (_join(names or ("all",)) for names in (fault.src, fault.dst))
    return f"{src} {'->' if fault.one_way else '<->'} {dst}"


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)


def fault_row(item: ActiveFault) -> dict[str, Any]:
    """{"name", "what", "fault": {"kind", ...}}"""
    return {
        "name": item.name,
        "what": describe(item.fault),
        "fault": msgspec.to_builtins(item.fault),
    }
