"""Making a node misbehave."""

from typing import Annotated

from cyclopts import Parameter

from node.commands.common import DEFAULT_DIRECTORY, Directory


def equivocate(
    name: Annotated[str, Parameter(name="NODE", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    off: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Let a validator contradict each of its prevotes; it is started again if it runs.

    The network slashes and jails it, for good: a new network is the only way back.

    Parameters
    ----------
    name
        The node, such as s0v3.
    off
        Let it be honest again.
    """
    from node.cluster.faults import set_fault

    _tell(name, "equivocates", off, set_fault(directory, name, "equivocate", on=not off))
    return 0


def withhold(
    name: Annotated[str, Parameter(name="NODE", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    off: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Let a validator propose blocks without messages from other shards; it is started again if it runs.

    The others stop voting for such a block when a message has waited for it long enough.

    Parameters
    ----------
    name
        The node, such as s0v3.
    off
        Let it be honest again.
    """
    from node.cluster.faults import set_fault

    _tell(name, "withholds arrivals", off, set_fault(directory, name, "withhold", on=not off))
    return 0


def _tell(name: str, does: str, off: bool, restarted: bool) -> None:
    when = " and was started again" if restarted else " from its next start on"
    print(f"{name} {'is honest' if off else does}{when}")
