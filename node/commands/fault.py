"""Causing faults in a network, and ending them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from node.commands.common import DEFAULT_DIRECTORY, Directory, Json, print_json
from node.terminal import say

if TYPE_CHECKING:
    from node.cluster.faults.injection import CausedFault, Faults

NodeNames = Annotated[
    tuple[str, ...],
    Parameter(name="NODE", negative="", help="Nodes such as s0v3, s0 for a whole shard, or all."),
]
Seconds = Annotated[
    float | None,
    Parameter(
        name="--for", validator=Number(gt=0), help="Heal it after so many seconds, and return then."
    ),
]
Ends = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Links:
    """Options of faults of links."""

    src: Ends = ()
    "Nodes at one end of the links; all nodes if left out."
    dst: Ends = ()
    "Nodes at the other end; all nodes if left out."
    one_way: Annotated[bool, Parameter(negative="")] = False
    "Only from --src to --dst, not back."


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Causing:
    """Options of causing a fault."""

    directory: Directory = DEFAULT_DIRECTORY
    lasting: Seconds = None
    json: Json = False

    def __call__(self, cause: Callable[["Faults"], "CausedFault"]) -> int:
        """Cause it, say so, and with `lasting` heal it after that time, or at Ctrl-C."""
        import time

        from node.cluster.fault_model import describe
        from node.cluster.faults.injection import Faults

        caused = cause(Faults(self.directory))
        if self.json:
            import msgspec

            print_json({"name": caused.name, "fault": msgspec.to_builtins(caused.fault)})
        else:
            say(f"{caused.name}: {describe(caused.fault)}")
        if self.lasting is not None:
            with caused:
                time.sleep(self.lasting)
            if not self.json:
                say(f"{caused.name} healed")
        return 0


ALL_LINKS, FOR_GOOD = Links(), Causing()


def kill(
    nodes: NodeNames,
    /,
    *,
    causing: Causing = FOR_GOOD,
) -> int:
    """Kill nodes without warning (SIGKILL). Healed by starting them."""
    return causing(lambda faults: faults.kill(*nodes))


def stop(
    nodes: NodeNames,
    /,
    *,
    causing: Causing = FOR_GOOD,
) -> int:
    """Pause nodes (SIGSTOP): their sockets stay open and nothing answers. Healed by SIGCONT."""
    return causing(lambda faults: faults.stop(*nodes))


def restart(
    nodes: NodeNames,
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    kill: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Stop nodes and start them again; returns when they answer.

    Parameters
    ----------
    kill
        Kill them instead of stopping them cleanly.
    """
    from node.cluster.faults.injection import Faults

    Faults(directory).restart(*nodes, kill=kill)
    if json:
        print_json({"restarted": list(nodes)})
    else:
        say(f"{', '.join(nodes)} started again")
    return 0


def partition(
    *,
    group: Annotated[tuple[str, ...], Parameter(name="--group", negative="")],
    cut: Annotated[bool, Parameter(negative="")] = False,
    causing: Causing = FOR_GOOD,
) -> int:
    """Cut the network into groups of nodes. Nothing passes between them.

    Parameters
    ----------
    group
        Nodes separated by commas, such as s0v0,s0v1. Give it once for each group. The nodes in no group form
        one more.
    cut
        Close the connections at once. Otherwise they stay until they are found silent, after 8 seconds.
    """
    groups = [[name.strip() for name in names.split(",") if name.strip()] for names in group]
    return causing(lambda faults: faults.partition(groups, cut=cut))


def delay(
    seconds: Annotated[float, Parameter(name="SECONDS", negative="")],
    /,
    *,
    jitter: float = 0.0,
    links: Links = ALL_LINKS,
    causing: Causing = FOR_GOOD,
) -> int:
    """Delay messages between nodes. They keep their order.

    Parameters
    ----------
    jitter
        Random extra delay, up to so many seconds.
    """
    return causing(lambda faults: faults.delay(seconds, jitter=jitter, **asdict(links)))


def loss(
    ratio: Annotated[float, Parameter(name="RATIO", negative="")],
    /,
    *,
    links: Links = ALL_LINKS,
    causing: Causing = FOR_GOOD,
) -> int:
    """Lose a share (0 to 1) of the messages between nodes: whole frames, requests and responses."""
    return causing(lambda faults: faults.loss(ratio, **asdict(links)))


def lane(
    src: Annotated[int, Parameter(name="FROM", negative="")],
    dst: Annotated[int, Parameter(name="TO", negative="")],
    /,
    *,
    causing: Causing = FOR_GOOD,
) -> int:
    """Hold back the messages from one shard to another."""
    return causing(lambda faults: faults.lane(src, dst))


def freeze(
    shard: Annotated[int, Parameter(name="SHARD", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
) -> int:
    """Freeze a shard, for good: the beacon gets two certificates of one height, made with the keys of its
    validators.
    """
    return Causing(directory=directory, json=json)(lambda faults: faults.freeze(shard))


def equivocate(
    nodes: NodeNames,
    /,
    *,
    late: Annotated[int, Parameter(validator=Number(gte=0, lte=1024))] = 0,
    causing: Causing = FOR_GOOD,
) -> int:
    """Make validators contradict each of their prevotes. The network slashes and jails them, for good.

    Parameters
    ----------
    late
        Heights after a prevote at which its contradiction is sent.
    """
    return causing(lambda faults: faults.equivocate(*nodes, late=late))


def withhold(
    nodes: NodeNames,
    /,
    *,
    causing: Causing = FOR_GOOD,
) -> int:
    """Make validators propose blocks without messages from other shards.

    The others stop voting for such a block when a message has waited for it long enough.
    """
    return causing(lambda faults: faults.withhold(*nodes))


def corrupt(
    nodes: NodeNames,
    /,
    *,
    file: Literal["table", "log", "manifest", "wal", "signed"] = "table",
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
) -> int:
    """Kill nodes and damage a file of each. They do not start before it is healed: the database is deleted
    then, and synced from the peers.

    Parameters
    ----------
    file
        A table or the log of the database, its manifest, the write-ahead log or the last-signed record of
        consensus.
    """
    return Causing(directory=directory, json=json)(lambda faults: faults.corrupt(*nodes, file=file))


def disk(
    nodes: NodeNames,
    /,
    *,
    free: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    causing: Causing = FOR_GOOD,
) -> int:
    """Make the disk of nodes full: they end. Healing lifts the limit and starts them.

    Parameters
    ----------
    free
        Bytes that can be written before that.
    """
    return causing(lambda faults: faults.disk(*nodes, free=free))


def clock(
    seconds: Annotated[float, Parameter(name="SECONDS", negative="", allow_leading_hyphen=True)],
    nodes: NodeNames,
    /,
    *,
    causing: Causing = FOR_GOOD,
) -> int:
    """Put the clocks of nodes ahead, or back if negative."""
    return causing(lambda faults: faults.clock(seconds, *nodes))


def show(*, directory: Directory = DEFAULT_DIRECTORY, json: Json = False) -> int:
    """List the faults that are in force."""
    from node.cluster.faults.fault_table import fault_table, faults_document
    from node.cluster.faults.injection import Faults
    from node.cluster.show.tables import console

    faults = Faults(directory)
    document = faults_document(faults.list(), faults.told())
    if json:
        print_json(document)
    else:
        console().print(fault_table(document))
    return 0


def heal(
    names: Annotated[tuple[str, ...], Parameter(name="FAULT", negative="")] = (),
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
) -> int:
    """End faults by their names (`atoll fault list`), or all of them; nodes that were down are started."""
    from node.cluster.fault_model import fault_row
    from node.cluster.faults.injection import Faults

    faults = Faults(directory)
    ended = faults.heal(*(() if names in ((), ("all",)) else names))
    if json:
        print_json({"healed": [fault_row(item) for item in ended]})
    else:
        for item in ended:
            say(f"{item.name} healed")
        if not ended:
            say("there was nothing to heal")
    return 0
