"""Faults on demand: caused, listed and healed in a running network, from any program.

    from node.cluster.faults.injection import Faults

    faults = Faults("DIR")                                  # the directory of `atoll up --dir DIR`
    fault = faults.partition([["s0v0"], ["s0v1", "s0v2"]])  # the others are a third group
    faults.list()                                           # [ActiveFault(name="partition-1", ...)]
    fault.heal()                                            # or faults.heal("partition-1"), or faults.heal()
    with faults.kill("s0v1"):
        ...                                                 # started again at the end

Nodes are named as in the genesis; `s0` is all of shard 0, `all` is all. Every method returns when the fault is
in force, and raises `UserError` for what cannot be, `NetworkFailed` where a node does not do as it should.

What happens in a process that runs (links, clock, disk, lanes, misbehaviour) is told to it over JSON-RPC,
where the genesis has `dev_methods`; elsewhere the node is started again with it. It also stands in the
`[faults]` of its node.toml, so that a node which starts meanwhile has it from the first moment.
"""

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import msgspec

from node.cluster import fault_model
from node.cluster.client.ask import rpc_url
from node.cluster.client.client import call
from node.cluster.errors import NetworkFailed, RequestFailed, RpcRefused
from node.cluster.fault_book import FaultBook
from node.cluster.faults.damage import damage, repair
from node.cluster.faults.restart import Nodes
from node.cluster.layout import NodeLayout, load_layout
from node.config.node_config import NodeConfig
from node.config.node_faults import NodeFaults
from node.config.toml import load_toml, render_toml
from node.primitives.errors import UserError
from node.storage.files import write_atomically
from node.storage.quota import directory_size

ActiveFaults: TypeAlias = list[fault_model.ActiveFault]

TOLD_TIMEOUT = 20.0
NO_SUCH_METHOD, NOT_SUPPORTED = -32601, -32004


class CausedFault:
    """A fault that is in force until `heal`, or until the end of a `with`."""

    def __init__(self, faults: "Faults", active: fault_model.ActiveFault) -> None:
        self._faults = faults
        self.name = active.name
        self.fault = active.fault

    def heal(self) -> None:
        """End it, unless it has ended. Raises as `Faults.heal` does."""
        if any(item.name == self.name for item in self._faults.list()):
            self._faults.heal(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()


class Faults:
    """The faults of the network in `directory`. `seed`: of what is lost on links; None draws one each time.

    Raises UserError if there is no network.
    """

    def __init__(self, directory: Path | str, *, seed: int | None = None) -> None:
        self.layout = load_layout(Path(directory))
        self.nodes = Nodes(self.layout)
        self._book = FaultBook(self.layout)
        self._seed = seed

    # ------------------------------------------------------------------ processes

    def kill(self, *nodes: str) -> CausedFault:
        """SIGKILL; healed by a start."""
        return self.cause(fault_model.Kill(nodes=nodes))

    def stop(self, *nodes: str) -> CausedFault:
        """SIGSTOP: sockets stay open, nothing answers; healed by SIGCONT."""
        return self.cause(fault_model.Stop(nodes=nodes))

    def restart(self, *nodes: str, kill: bool = False) -> None:
        """Stop (SIGTERM, or SIGKILL) and start again; over when it returns."""
        with self._book.locked():
            self.nodes.restart(fault_model.names_of(self.layout, nodes), kill=kill)

    # ------------------------------------------------------------------ the network

    def partition(self, groups: Iterable[Iterable[str]], *, cut: bool = False) -> CausedFault:
        """Nothing passes between the groups; nodes in no group form one more. With `cut` the connections are
        closed at once, otherwise they are found silent after 8 s.
        """
        return self.cause(
            fault_model.Partition(groups=tuple(tuple(group) for group in groups), cut=cut)
        )

    def delay(
        self,
        seconds: float,
        *,
        jitter: float = 0.0,
        src: Iterable[str] = (),
        dst: Iterable[str] = (),
        one_way: bool = False,
    ) -> CausedFault:
        """Messages between `src` and `dst` (none: all nodes) take up to `seconds + jitter` longer."""
        links: dict[str, Any] = {"src": tuple(src), "dst": tuple(dst), "one_way": one_way}
        return self.cause(_checked(fault_model.Delay(seconds=seconds, jitter=jitter, **links)))

    def loss(
        self,
        ratio: float,
        *,
        src: Iterable[str] = (),
        dst: Iterable[str] = (),
        one_way: bool = False,
    ) -> CausedFault:
        """`ratio` of the messages between `src` and `dst` (none: all nodes) never arrive."""
        links: dict[str, Any] = {"src": tuple(src), "dst": tuple(dst), "one_way": one_way}
        return self.cause(_checked(fault_model.Loss(ratio=ratio, **links)))

    # ------------------------------------------------------------------ shards and lanes

    def lane(self, src: int, dst: int) -> CausedFault:
        """No node of shard `dst` fetches messages from shard `src`."""
        return self.cause(fault_model.Lane(src=src, dst=dst))

    def freeze(self, shard: int) -> CausedFault:
        """Prove to the beacon, with the keys of the shard's validators, that it has forked. For good."""
        return self.cause(fault_model.Freeze(shard=shard))

    # ------------------------------------------------------------------ validators

    def equivocate(self, *nodes: str, late: int = 0) -> CausedFault:
        """They contradict each of their prevotes, `late` heights after it, and are slashed and jailed."""
        return self.cause(_checked(fault_model.Equivocate(nodes=nodes, late=late)))

    def withhold(self, *nodes: str) -> CausedFault:
        """They propose no messages from other shards."""
        return self.cause(fault_model.Withhold(nodes=nodes))

    def clock(self, seconds: float, *nodes: str) -> CausedFault:
        """Their clocks are wrong."""
        return self.cause(_checked(fault_model.ClockSkew(nodes=nodes, seconds=seconds)))

    # ------------------------------------------------------------------ disks

    def disk(self, *nodes: str, free: int = 0) -> CausedFault:
        """The disk is full after `free` more bytes: the node ends. Healed by room and a start."""
        return self.cause(_checked(fault_model.Disk(nodes=nodes, free=free)))

    def corrupt(self, *nodes: str, file: fault_model.File = "table") -> CausedFault:
        """Kill the node and change bytes of a file of its. It does not start until healed: a database is
        deleted then, and synced from the peers."""
        return self.cause(_checked(fault_model.Corrupt(nodes=nodes, file=file)))

    # ------------------------------------------------------------------ all kinds

    def cause(self, fault: fault_model.Fault, *, name: str | None = None) -> CausedFault:
        """Cause a fault. `name`: the name to heal it by; by default the kind with a number."""
        fault_model.check_fault(self.layout, fault)
        with self._book.locked():
            before = self._current()
            taken = {item.name for item in before}
            if name is None:
                name = next(n for i in range(1, 1 << 20) if (n := f"{fault.kind}-{i}") not in taken)
            elif name in taken:
                raise UserError(f"there is a fault {name!r} already; `atoll fault list` shows it")
            disks = {}
            if isinstance(fault, fault_model.Disk):
                disks = {
                    node: directory_size(self.layout.node(node).config.data_dir) + fault.free
                    for node in fault_model.nodes_of(self.layout, fault)
                }
            seed = secrets.randbits(32) if self._seed is None else self._seed
            active = fault_model.ActiveFault(name=name, fault=fault, seed=seed, disks=disks)
            self._book.write([*before, active])
            try:
                self._perform(fault, [*before, active])
            except UserError:  # nothing has happened
                self._book.write(before)
                raise
        return CausedFault(self, active)

    def list(self) -> ActiveFaults:
        """The faults in force, oldest first."""
        return self._current()

    def heal(self, *names: str) -> ActiveFaults:
        """End the faults of these names, or all that can be ended; what was ended.

        Raises UserError for a name that is not there and for a frozen shard; NetworkFailed if a node does
        not come back, whose fault is still there then.
        """
        with self._book.locked():
            active = self._current()
            known = {item.name: item for item in active}
            for name in names:
                if name not in known:
                    there = ", ".join(known) or "none"
                    raise UserError(f"there is no fault {name!r} in force; there is: {there}")
                if isinstance(known[name].fault, fault_model.Freeze):
                    raise UserError(
                        f"{name}: a fork that was proven cannot be taken back: a new network is the only "
                        "way (`atoll up --reset`)"
                    )
            ended = [
                item
                for item in active
                if (not names or item.name in names)
                and not isinstance(item.fault, fault_model.Freeze)
            ]
            remaining = [item for item in active if item not in ended]
            concerned = {
                name for item in ended for name in fault_model.nodes_of(self.layout, item.fault)
            }
            if not names:  # faults that other clients set over JSON-RPC end as well
                concerned = {node.name for node in self.layout.nodes}
            self._end(ended, remaining, concerned)
            self._book.write(remaining)
        return ended

    def told(self) -> dict[str, NodeFaults]:
        """The faults that each running node reports, beside those in force here."""
        active, found = self._current(), {}
        for node in self.layout.nodes:
            if not self._can_be_told(node):
                continue
            try:
                answer = call(rpc_url(node), "atoll_faults", timeout=TOLD_TIMEOUT)
                said = msgspec.convert(answer, NodeFaults)
            except (RequestFailed, msgspec.ValidationError):
                continue
            if said != fault_model.faults_of_node(self.layout, node, active):
                found[node.name] = said
        return found

    # ------------------------------------------------------------------ inside

    def _current(self) -> ActiveFaults:
        return [item for item in self._book.read() if not self._is_over(item.fault)]

    def _is_over(self, fault: fault_model.Fault) -> bool:
        """True if the fault was ended otherwise, as by `atoll up`."""
        match fault:
            case fault_model.Kill() | fault_model.Corrupt():
                return all(map(self.nodes.is_running, fault_model.nodes_of(self.layout, fault)))
            case fault_model.Stop():
                return not any(map(self.nodes.is_held, fault_model.nodes_of(self.layout, fault)))
            case _:
                return False

    def _perform(self, fault: fault_model.Fault, active: Sequence[fault_model.ActiveFault]) -> None:
        names = fault_model.nodes_of(self.layout, fault)
        match fault:
            case fault_model.Kill():
                self.nodes.kill(names)
            case fault_model.Stop():
                self.nodes.hold(names)
            case fault_model.Corrupt():
                self.nodes.kill([name for name in names if self.nodes.is_running(name)])
                for name in names:
                    damage(self.layout.node(name), fault.file)
            case fault_model.Freeze():
                from node.cluster.faults.fork_evidence import prove_fork

                prove_fork(self.layout, fault.shard)
            case _:
                self._tell(names, active)

    def _end(
        self,
        ended: Sequence[fault_model.ActiveFault],
        remaining: Sequence[fault_model.ActiveFault],
        concerned: set[str],
    ) -> None:
        for item in ended:
            if isinstance(item.fault, fault_model.Stop):
                self.nodes.go_on(fault_model.nodes_of(self.layout, item.fault))
            elif isinstance(item.fault, fault_model.Corrupt):
                for name in fault_model.nodes_of(self.layout, item.fault):
                    if not self.nodes.is_running(name):
                        repair(self.layout.node(name), item.fault.file)
        self._tell(sorted(concerned), remaining)
        away = {
            name
            for item in remaining
            if isinstance(item.fault, fault_model.Kill | fault_model.Corrupt)
            for name in fault_model.nodes_of(self.layout, item.fault)
        }
        to_start = {
            name
            for item in ended
            if isinstance(item.fault, fault_model.Kill | fault_model.Corrupt | fault_model.Disk)
            for name in fault_model.nodes_of(self.layout, item.fault)
            if name not in away and not self.nodes.is_running(name)
        }
        if to_start and self.nodes.is_up:
            self.nodes.start(sorted(to_start))

    def _tell(self, names: Iterable[str], active: Sequence[fault_model.ActiveFault]) -> None:
        """Tell nodes their faults, for now and for their next start."""
        again = []
        for name in names:
            node = self.layout.node(name)
            faults = fault_model.faults_of_node(self.layout, node, active)
            changed = _write(node, faults)
            if self._can_be_told(node):
                try:
                    takes = _tell_node(node, faults)
                except NetworkFailed:
                    if self.nodes.is_running(name):
                        raise
                    continue  # it has ended just now, of its faults or otherwise
                if changed and not takes:
                    again.append(name)
            elif changed and self.nodes.is_running(name) and not node.config.rpc.enabled:
                again.append(name)
        if again:
            self.nodes.restart(again)

    def _can_be_told(self, node: NodeLayout) -> bool:
        name = node.name
        return (
            node.config.rpc.enabled and self.nodes.is_running(name) and not self.nodes.is_held(name)
        )


def _tell_node(node: NodeLayout, faults: NodeFaults) -> bool:
    """False if the node takes no faults while it runs. Raises NetworkFailed if it does not answer."""
    try:
        call(rpc_url(node), "atoll_setFaults", msgspec.to_builtins(faults), timeout=TOLD_TIMEOUT)
    except RpcRefused as error:
        if error.code in (NO_SUCH_METHOD, NOT_SUPPORTED):
            return False
        raise NetworkFailed(f"{node.name} does not take its faults: {error}") from None
    except RequestFailed as error:
        raise NetworkFailed(
            f"{node.name} runs and was not told ({error}); it has its faults from its next start on"
        ) from None
    return True


def _write(node: NodeLayout, faults: NodeFaults) -> bool:
    """Write the faults to its configuration; true if that has changed."""
    path = node.files.config
    # As it is in the file: `node.config` has absolute paths.
    config = load_toml(path, NodeConfig, what="the configuration of a node")
    if config.faults == faults:
        return False
    changed = msgspec.structs.replace(config, faults=faults)
    write_atomically(path, render_toml(changed).encode())
    return True


def _checked(fault: fault_model.Fault) -> fault_model.Fault:
    """Constructors check nothing; as from JSON. Raises UserError."""
    try:
        return msgspec.convert(msgspec.to_builtins(fault), fault_model.Fault)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise UserError(f"{fault.kind}: {error}") from None
