"""Causing faults in a network, and ending them."""

from collections.abc import Callable
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
OneWay = Annotated[bool, Parameter(negative="", help="Only from --src to --dst, not back.")]


def kill(
    nodes: NodeNames,
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Kill nodes without warning (SIGKILL). Healed by starting them."""
    return _cause(directory, lambda faults: faults.kill(*nodes), lasting, json)


def stop(
    nodes: NodeNames,
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Pause nodes (SIGSTOP): their sockets stay open and nothing answers. Healed by SIGCONT."""
    return _cause(directory, lambda faults: faults.stop(*nodes), lasting, json)


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
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
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
    return _cause(directory, lambda faults: faults.partition(groups, cut=cut), lasting, json)


def delay(
    seconds: Annotated[float, Parameter(name="SECONDS", negative="")],
    /,
    *,
    jitter: float = 0.0,
    src: Ends = (),
    dst: Ends = (),
    one_way: OneWay = False,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Delay messages between nodes. They keep their order.

    Parameters
    ----------
    jitter
        Random extra delay, up to so many seconds.
    src
        Nodes at one end of the links; all nodes if left out.
    dst
        Nodes at the other end; all nodes if left out.
    """

    def cause(faults: "Faults") -> "CausedFault":
        return faults.delay(seconds, jitter=jitter, src=src, dst=dst, one_way=one_way)

    return _cause(directory, cause, lasting, json)


def loss(
    ratio: Annotated[float, Parameter(name="RATIO", negative="")],
    /,
    *,
    src: Ends = (),
    dst: Ends = (),
    one_way: OneWay = False,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Lose a share (0 to 1) of the messages between nodes: whole frames, requests and responses.

    Parameters
    ----------
    src
        Nodes at one end of the links; all nodes if left out.
    dst
        Nodes at the other end; all nodes if left out.
    """

    def cause(faults: "Faults") -> "CausedFault":
        return faults.loss(ratio, src=src, dst=dst, one_way=one_way)

    return _cause(directory, cause, lasting, json)


def lane(
    src: Annotated[int, Parameter(name="FROM", negative="")],
    dst: Annotated[int, Parameter(name="TO", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Hold back the messages from one shard to another."""
    return _cause(directory, lambda faults: faults.lane(src, dst), lasting, json)


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
    return _cause(directory, lambda faults: faults.freeze(shard), None, json)


def equivocate(
    nodes: NodeNames,
    /,
    *,
    late: Annotated[int, Parameter(validator=Number(gte=0, lte=1024))] = 0,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Make validators contradict each of their prevotes. The network slashes and jails them, for good.

    Parameters
    ----------
    late
        Heights after a prevote at which its contradiction is sent.
    """
    return _cause(directory, lambda faults: faults.equivocate(*nodes, late=late), lasting, json)


def withhold(
    nodes: NodeNames,
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Make validators propose blocks without messages from other shards.

    The others stop voting for such a block when a message has waited for it long enough.
    """
    return _cause(directory, lambda faults: faults.withhold(*nodes), lasting, json)


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
    return _cause(directory, lambda faults: faults.corrupt(*nodes, file=file), None, json)


def disk(
    nodes: NodeNames,
    /,
    *,
    free: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Make the disk of nodes full: they end. Healing lifts the limit and starts them.

    Parameters
    ----------
    free
        Bytes that can be written before that.
    """
    return _cause(directory, lambda faults: faults.disk(*nodes, free=free), lasting, json)


def clock(
    seconds: Annotated[float, Parameter(name="SECONDS", negative="", allow_leading_hyphen=True)],
    nodes: NodeNames,
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    lasting: Seconds = None,
    json: Json = False,
) -> int:
    """Put the clocks of nodes ahead, or back if negative."""
    return _cause(directory, lambda faults: faults.clock(seconds, *nodes), lasting, json)


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


def _cause(
    directory: Directory,
    cause: Callable[["Faults"], "CausedFault"],
    lasting: float | None,
    json: bool,
) -> int:
    """Cause it, say so, and with `lasting` heal it after that time, or at Ctrl-C."""
    import time

    from node.cluster.fault_model import describe
    from node.cluster.faults.injection import Faults

    faults = Faults(directory)
    caused = cause(faults)
    if json:
        import msgspec

        print_json({"name": caused.name, "fault": msgspec.to_builtins(caused.fault)})
    else:
        say(f"{caused.name}: {describe(caused.fault)}")
    if lasting is not None:
        with caused:
            time.sleep(lasting)
        if not json:
            say(f"{caused.name} healed")
    return 0
