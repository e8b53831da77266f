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
    from node.cluster.faults import set_equivocation

    restarted = set_equivocation(directory, name, on=not off)
    print(
        f"{name} {'is honest' if off else 'equivocates'}"
        + (" and was started again" if restarted else " from its next start on")
    )
    return 0
