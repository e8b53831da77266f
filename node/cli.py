"""The command `atoll`: its commands put together, and what mistakes look like.

Everything slow is imported where a command needs it.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Literal

from cyclopts import App, CycloptsError

from node import startup
from node.commands import (
    accounts,
    config,
    contracts,
    dump,
    fault,
    follow,
    network,
    node,
    proofs,
    scenario,
    status,
)
from node.commands.common import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USER_ERROR, print_json
from node.commands.completion import bash_nodes
from node.primitives.errors import AtollError, UserError
from node.terminal import say
from node.version import version

app = App(
    name="atoll",
    help="A sharded EVM devnet: real nodes, BFT consensus, one endpoint over all shards.",
    version=version,
    result_action="return_value",
)
GROUPS: dict[str, tuple[Callable[..., int], ...]] = {
    "Networks": (
        network.up,
        network.down,
        network.init,
        network.logs,
        dump.dump,
        dump.load,
        node.node,
    ),
    "What happens": (status.status, follow.audit, follow.trace, follow.message, follow.lanes),
    "Proofs": (proofs.prove, proofs.verify),
    "Accounts and contracts": (
        accounts.accounts,
        accounts.send,
        accounts.faucet,
        contracts.call,
        contracts.deploy,
    ),
}
for title, commands in GROUPS.items():
    for command in commands:
        app.command(command, group=title)

faults = App(
    name="fault",
    help="Cause faults in a running network, and heal them.",
    group="Networks",
)
for command in (
    fault.kill,
    fault.stop,
    fault.restart,
    fault.partition,
    fault.delay,
    fault.loss,
    fault.lane,
    fault.freeze,
    fault.equivocate,
    fault.withhold,
    fault.corrupt,
    fault.disk,
    fault.clock,
    fault.heal,
):
    faults.command(command)
faults.command(fault.show, name="list")
scenarios = App(
    name="scenario",
    help="Run a scenario: loads, faults and expectations, described in a file.",
    group="Networks",
)
scenarios.default(scenario.run)  # `atoll scenario FILE`
scenarios.command(scenario.run)
scenarios.command(scenario.check)
scenarios.command(scenario.generate)
configs = App(name="config", help="Check configuration files.", group="Networks")
configs.command(config.check)
for group in (faults, scenarios, configs):
    app.command(group)


@app.command(group="Shell")
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion of this command for a shell: source <(atoll completion bash).

    In bash names of nodes are completed as well.
    """
    say(app.generate_completion(shell=shell))
    if shell == "bash":
        say(bash_nodes(app))
    return 0


MAX_REASON = 2000
"""Characters of what a person is told: a file or an answer may be quoted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. A person's mistake is one line, never a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    fail = _fail_in_json if "--json" in arguments else _fail
    trouble = startup.problem()
    if trouble is not None:
        return fail(trouble, EXIT_USER_ERROR)
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return fail(str(error), EXIT_USER_ERROR)
    except UserError as error:
        return fail(str(error), EXIT_USER_ERROR)
    except AtollError as error:
        return fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # `atoll logs s0v0 | head`
        sys.stderr.close()
        return EXIT_FAILED
    except OSError as error:  # a path that cannot be what it is used for, or a disk that is full
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return fail(reason, EXIT_USER_ERROR)


def _fail(reason: str, code: int) -> int:
    if code != EXIT_INTERRUPTED:
        line = " ".join(reason.split("\n"))
        say(f"atoll: error: {line[:MAX_REASON]}", file=sys.stderr)
    return code


def _fail_in_json(reason: str, code: int) -> int:
    """Print an error to standard output, where a reader of --json looks for it."""
    print_json({"error": {"message": reason, "exitCode": code}})
    return code
