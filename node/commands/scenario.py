"""Scenarios: faults, loads and expectations in a file."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from node.commands.common import EXIT_FAILED, EXIT_INTERRUPTED, Json, print_json
from node.commands.node import preloaded_node
from node.terminal import say

File = Annotated[Path, Parameter(name="FILE", negative="", help="The scenario, a TOML file.")]


def run(
    file: File,
    /,
    *,
    directory: Annotated[Path | None, Parameter(name="--dir")] = None,
    seed: int | None = None,
    keep: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Start a network, run a scenario on it, and check what it expects. Exits 1 if that is not met.

    Parameters
    ----------
    directory
        Where to make the network; it must not exist. A temporary one otherwise.
    seed
        Another seed than that of the file.
    keep
        Keep a temporary directory in any case. It is kept with its logs after a failure.
    """
    import msgspec

    from node.cluster.processes.signals import StopSignals
    from node.cluster.scenario.file import load_scenario
    from node.cluster.scenario.run import ScenarioInterrupted, run_scenario

    scenario = load_scenario(file)
    if seed is not None:
        scenario = msgspec.structs.replace(scenario, seed=seed)
    temporary = None if directory else Path(tempfile.mkdtemp(prefix="atoll-scenario-"))
    place = directory or (temporary or Path()) / "network"

    def tell(line: str) -> None:
        say(line, file=sys.stderr if json else sys.stdout, flush=True)

    kept = True
    try:
        with StopSignals() as signals:
            report = run_scenario(scenario, place, say=tell, run=preloaded_node(), signals=signals)
        kept = keep or report.failure is not None
    except ScenarioInterrupted as error:
        tell(str(error))
        return EXIT_INTERRUPTED
    finally:
        if temporary is not None and not kept:
            shutil.rmtree(temporary, ignore_errors=True)
    if json:
        print_json(report.document())
    elif report.failure is None:
        say(f"as expected, after {report.seconds:.1f} s; load: {report.load}")
    else:
        say(f"FAILED: {report.failure}\nseed {report.seed}; logs below {report.directory}/nodes")
    return EXIT_FAILED if report.failure else 0


def check(file: File, /, *, json: Json = False) -> int:
    """Check the file of a scenario. Starts nothing."""
    from node.cluster.scenario.file import load_scenario

    scenario = load_scenario(file)
    counts = {
        "loads": len(scenario.load),
        "steps": len(scenario.step),
        "expectations": len(scenario.expect),
    }
    if json:
        print_json({"file": str(file), "title": scenario.title, **counts})
    else:
        say(f"{file} is right: {', '.join(f'{n} {what}' for what, n in counts.items())}")
    return 0


def generate(
    *, seed: int, out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None
) -> int:
    """Write a random scenario that every network should pass. The same seed gives the same one.

    Parameters
    ----------
    out
        The file to write; standard output otherwise.
    """
    from node.cluster.scenario.generate import generate_scenario
    from node.config.toml import render_toml

    text = render_toml(generate_scenario(seed))
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text)
        say(out)
    return 0
