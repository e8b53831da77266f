"""Run what is too long for every change: masses of schedules, mistakes, inputs and kills, foreign tools.

    python tools/nightly.py                    every target, one after the other
    python tools/nightly.py mutants decoders   these
    python tools/nightly.py --list             the targets and their commands

What a target prints is in `.nightly/NAME.log`. There is a line for each: seconds, outcome, and the last line
that it printed, which has its figure. Exit code 0 if all passed. All of it takes two cores about half a day.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".nightly"
PYTHON = sys.executable
SECONDS = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Target:
    """A command that ends with a figure, and what it shows."""

    name: str
    shows: str
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


def pytest_of(*arguments: str) -> tuple[str, ...]:
    return (PYTHON, "-m", "pytest", "-q", "-s", *arguments)


def simulation(*arguments: str) -> tuple[str, ...]:
    return (PYTHON, "-m", "tests.simulation.run", "--jobs", "2", *arguments)


TARGETS = (
    Target("consensus", "100,000 schedules of consensus", simulation("--schedules", "100000")),
    Target(
        "networks",
        "3,000 schedules of whole networks, a quarter with a committee that lies",
        simulation("--kind", "devnet", "--schedules", "3000"),
    ),
    Target("simulated-mistakes", "mistakes in the simulation are found", simulation("--mutants")),
    Target(
        "mutants",
        "mistakes in the source are found",
        (PYTHON, "-m", "tests.mutants.run", "--jobs", "2"),
    ),
    Target(
        "decoders",
        "1,000,000 broken inputs for the decoders",
        (PYTHON, "-m", "tests.property.decoders", "--inputs", "1000000"),
    ),
    Target(
        "differential",
        "100,000 transactions through ours, py-evm and EELS",
        (PYTHON, "-m", "tests.conformance.differential", "--transactions", "100000"),
    ),
    Target(
        "just-born",
        "20,000 calls of contracts whose receipt was just seen, on 2x1 and on 2x4",
        pytest_of("--timeout", "7200", "tests/cluster/test_just_born.py"),
        {"ATOLL_JUST_BORN": "20000"},
    ),
    Target(
        "kills",
        "100 kills at random moments under load",
        pytest_of("--timeout", "7200", "tests/cluster/test_chaos.py"),
        {"ATOLL_CHAOS_KILLS": "100"},
    ),
    Target(
        "messages",
        "5,000 messages while nodes are killed, each delivered once",
        pytest_of("--timeout", "7200", "tests/cluster/test_messages_under_kills.py"),
        {"ATOLL_MESSAGES": "5000"},
    ),
    Target(
        "away",
        "a shard that is away for 75 s",
        pytest_of("--timeout", "1200", "tests/cluster/test_destination_away.py"),
        {"ATOLL_AWAY_SECONDS": "75"},
    ),
    Target(
        "starts",
        "50 starts and stops, 10 that are interrupted in each manner",
        pytest_of("--timeout", "3600", "tests/cluster/test_up_and_down.py"),
        {"ATOLL_UPS": "50", "ATOLL_INTERRUPTS": "10"},
    ),
    Target(
        "calls",
        "100,000 random calls on a live network",
        pytest_of("--timeout", "7200", "tests/cluster/test_live_fuzz.py"),
        {"ATOLL_FUZZ_CALLS": "100000"},
    ),
    Target(
        "scenarios",
        "20 random scenarios on real networks",
        pytest_of("--timeout", "3600", "tests/cluster/test_scenarios.py"),
        {"ATOLL_SCENARIO_SEEDS": " ".join(map(str, range(20)))},
    ),
    Target(
        "soak",
        "half an hour of load with a kill: memory, latency, throughput, audit",
        (PYTHON, "benchmarks/soak.py"),
    ),
    Target(
        "memory",
        "memory of the state over 10,000 blocks",
        (PYTHON, "benchmarks/state_memory.py"),
    ),
    Target(
        "tools",
        "ethers, viem, cast, forge, Hardhat, web3.js and js-libp2p, from their registries",
        pytest_of(
            "tests/conformance/clients", "tests/conformance/tools", "tests/conformance/libp2p"
        ),
        {"ATOLL_CLIENTS": "1"},
    ),
    Target(
        "newest",
        "the wheel with the dependencies of today",
        (PYTHON, "tools/check_wheel.py", "--newest"),
    ),
)


def run(target: Target) -> tuple[float, int, str]:
    """Run a target; return its seconds, its exit code and the last line that it printed."""
    log = LOGS / f"{target.name}.log"
    began = time.monotonic()
    with log.open("wb") as out:
        try:
            code = subprocess.run(
                target.command, cwd=ROOT, env={**os.environ, **target.env}, timeout=SECONDS,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = -1
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return time.monotonic() - began, code, lines[-1] if lines else ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the targets")
    parser.add_argument("names", nargs="*", metavar="NAME", help="targets; all of them by default")
    wanted = parser.parse_args()
    known = {target.name: target for target in TARGETS}
    unknown = [name for name in wanted.names if name not in known]
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}; --list prints them")
    if wanted.list:
        for target in TARGETS:
            env = "".join(f"{name}={value!r} " for name, value in target.env.items())
            print(f"{target.name:20}{target.shows}\n{'':20}{env}{' '.join(target.command)}")
        return 0
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir()
    failed = 0
    for target in [known[name] for name in wanted.names] or TARGETS:
        seconds, code, last = run(target)
        failed += code != 0
        outcome = "passed" if code == 0 else f"FAILED ({code})"
        print(f"{target.name:20}{seconds:8.0f} s  {outcome:12}  {last[:120]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
