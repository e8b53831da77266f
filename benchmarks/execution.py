"""The speed of executing blocks: ours, stock py-evm and EELS on the same blocks, in the same run.

    .venv/bin/python benchmarks/execution.py [--rounds 5] [--quick] [--only NAME] [--eels PYTHON | --no-eels]

A block is decoded from its wire bytes, senders are recovered, transactions executed, receipts made, the
three roots computed and the result written (LevelDB for ours, a dictionary for the others). The figures
are CPU time, the median of the rounds; the engines take turns within a round, so that what else the
machine does falls on all of them. All engines must end with the same state root, receipts root and gas:
otherwise the run fails. The exit code is also 1 where a bar is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vyper  # type: ignore[import-untyped]
from eth_abi.abi import encode

from node.primitives.basics import keccak256
from node.primitives.births import contract_address
from tests.conformance.differential import eels_env
from tests.conformance.differential.case import CHAIN_ID, Transaction, address_of

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ROOT / "examples" / "contracts"
ENGINES = ("py-evm", "EELS", "atoll")
ETHER = 10**18
GAS_LIMIT = 30_000_000
TOUCHED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A block on a state that `setup` has made. `per` is what is counted: transactions or million gas."""

    name: str
    per: str
    bar: float | None
    accounts: list[bytes]
    setup: list[bytes]
    transactions: list[bytes]


# -- workloads


class Senders:
    """Funded accounts that sign, each with its next nonce."""

    def __init__(self, count: int) -> None:
        self.keys = [keccak256(b"sender %d" % n) for n in range(count)]
        self.addresses = [address_of(key) for key in self.keys]
        self._nonces = [0] * count

    def sign(
        self, index: int, to: bytes, data: bytes = b"", *, value: int = 0, gas: int = 200_000
    ) -> bytes:
        nonce = self._nonces[index]
        self._nonces[index] += 1
        return Transaction(
            type=2,
            key=self.keys[index],
            nonce=nonce,
            gas=gas,
            max_fee=20,
            tip=2,
            to=to,
            value=value,
            data=data,
        ).encode()

    def deploy(self, index: int, code: bytes, *, gas: int = 5_000_000) -> tuple[bytes, bytes]:
        """(signed creation, its address)."""
        address = contract_address(self.addresses[index], self._nonces[index])
        return self.sign(index, b"", code, gas=gas), address


def compiled(name: str, types: tuple[str, ...] = (), values: tuple[Any, ...] = ()) -> bytes:
    """The creation code of an example contract, with its constructor's arguments."""
    source = (CONTRACTS / f"{name}.vy").read_text()
    code: str = vyper.compile_code(source, output_formats=["bytecode"])["bytecode"]
    return bytes.fromhex(code.removeprefix("0x")) + encode(types, values)


def call(signature: str, *values: Any) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak256(signature.encode())[:4] + encode(types, values)


def token(senders: Senders, name: str, count: int) -> tuple[bytes, list[bytes]]:
    """(address, set-up): a token of which the first `count` senders have some."""
    code = compiled("Token", ("string", "string", "uint256"), (name, name[:3], 10**30))
    creation, address = senders.deploy(0, code)
    gifts = [
        senders.sign(0, address, call("transfer(address,uint256)", holder, 10**24))
        for holder in senders.addresses[1:count]
    ]
    return address, [creation, *gifts]


def transfers(count: int) -> Workload:
    senders = Senders(count)
    block = [
        senders.sign(n, keccak256(b"to %d" % n)[:20], value=1, gas=21_000) for n in range(count)
    ]
    return Workload(
        name="transfers", per="tx", bar=6.0,
        accounts=senders.addresses, setup=[], transactions=block,
    )  # fmt: skip


def erc20(count: int) -> Workload:
    senders = Senders(count)
    address, setup = token(senders, "Token", count)
    block = [
        senders.sign(
            n, address, call("transfer(address,uint256)", senders.addresses[(n + 1) % count], 5)
        )
        for n in range(count)
    ]
    return Workload(
        name="ERC-20 transfers", per="tx", bar=5.0,
        accounts=senders.addresses, setup=setup, transactions=block,
    )  # fmt: skip


def swaps(count: int) -> Workload:
    senders = Senders(count)
    first, setup = token(senders, "First", count)
    second, more = token(senders, "Second", count)
    setup += more
    creation, pair = senders.deploy(0, compiled("Pair", ("address", "address"), (first, second)))
    setup.append(creation)
    for n in range(count):
        for coin in (first, second):
            setup.append(senders.sign(n, coin, call("approve(address,uint256)", pair, 10**27)))
    setup.append(
        senders.sign(0, pair, call("add_liquidity(uint256,uint256)", 10**26, 10**26), gas=500_000)
    )
    block = [
        senders.sign(
            n, pair, call("swap(bool,uint256,uint256)", n % 2 == 0, 10**20, 1), gas=300_000
        )
        for n in range(count)
    ]
    return Workload(
        name="AMM swaps", per="tx", bar=None,
        accounts=senders.addresses, setup=setup, transactions=block,
    )  # fmt: skip


def work(
    name: str, signature: str, arguments: list[tuple[int, ...]], bar: float | None
) -> Workload:
    senders = Senders(len(arguments) + 1)
    creation, address = senders.deploy(0, compiled("Work"))
    block = [
        senders.sign(n + 1, address, call(signature, *values), gas=GAS_LIMIT)
        for n, values in enumerate(arguments)
    ]
    return Workload(
        name=name, per="Mgas", bar=bar,
        accounts=senders.addresses, setup=[creation], transactions=block,
    )  # fmt: skip


def deployments(count: int) -> Workload:
    senders = Senders(count)
    code = compiled("Token", ("string", "string", "uint256"), ("Token", "TOK", 10**30))
    block = [senders.sign(n, b"", code, gas=2_000_000) for n in range(count)]
    return Workload(
        name="deployments", per="tx", bar=None,
        accounts=senders.addresses, setup=[], transactions=block,
    )  # fmt: skip


def workloads(*, quick: bool) -> list[Workload]:
    scale = 4 if quick else 1
    count = 200 // scale
    return [
        transfers(count),
        erc20(count),
        swaps(count // 2),
        work("arithmetic loop", "arithmetic(uint256)", [(8000 // scale,)] * 2, 5.0),
        work("keccak loop", "hashes(uint256)", [(8000 // scale,)] * 2, None),
        work(
            "storage", "store(uint256,uint256)", [(100 * n, 100) for n in range(20 // scale)], None
        ),
        deployments(count // 4),
    ]


# -- measuring


class Process:
    """One engine in a process of its own."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, str(ROOT / "benchmarks" / "execution_engines.py"), name],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, "chain_id": CHAIN_ID, **fields}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "crash" in answer:
            raise SystemExit(f"{self.name}: {answer['crash']}")
        return answer

    def close(self) -> None:
        with self._process as process:
            if process.stdin is not None:
                process.stdin.close()


def in_turns(
    engines: list[Process], rounds: int, measure: Callable[[Process, int], dict[str, Any]]
) -> dict[str, float]:
    """The median CPU seconds of each engine; what they computed must be the same in every round."""
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for number in range(rounds + 1):  # the first warms up and is not counted
        results = set()
        for engine in engines:
            answer = measure(engine, number)
            cpu = answer.pop("cpu")
            results.add(json.dumps(answer, sort_keys=True))
            if number:
                seconds[engine.name].append(cpu)
        if len(results) > 1:
            raise SystemExit("the engines disagree:\n" + "\n".join(results))
    return {name: statistics.median(values) for name, values in seconds.items()}


def verdict(ratio: float, bar: float | None) -> str:
    if bar is None:
        return ""
    return f">= {bar:g} {'met' if ratio >= bar else 'MISSED'}"


def run_workload(engines: list[Process], workload: Workload, rounds: int) -> bool:
    accounts = {a.hex(): {"balance": hex(10 * ETHER), "nonce": 0, "code": "", "storage": {}}
                for a in workload.accounts}  # fmt: skip
    setup = [tx.hex() for tx in workload.setup]
    block = [tx.hex() for tx in workload.transactions]
    for engine in engines:
        engine.ask("load", accounts=accounts, setup=setup)
    gas = engines[0].ask("run", transactions=block)["gas"]
    medians = in_turns(engines, rounds, lambda e, _: e.ask("run", transactions=block))
    amount = len(block) if workload.per == "tx" else gas / 1e6
    ratio = medians["py-evm"] / medians["atoll"]
    digits = 0 if workload.per == "tx" else 2
    cells = [
        f"{amount / medians[name]:10,.{digits}f}" if name in medians else f"{'-':>10}"
        for name in ENGINES
    ]
    print(
        f"{workload.name:<18}{workload.per + '/s':<8}{''.join(cells)}{ratio:8.1f}"
        f"   {gas / 1e6 / medians['atoll']:7.1f}   {verdict(ratio, workload.bar)}",
        flush=True,
    )
    return workload.bar is None or ratio >= workload.bar


def run_roots(engines: list[Process], accounts: int, rounds: int) -> bool:
    pair = [engine for engine in engines if engine.name != "EELS"]
    for engine in pair:
        engine.ask("load", plain=accounts)
    step = accounts // TOUCHED

    def touch(engine: Process, number: int) -> dict[str, Any]:
        addresses = [
            (0x1000 + (n * step + 7 * number) % accounts).to_bytes(20, "big").hex()
            for n in range(TOUCHED)
        ]
        return engine.ask("touch", addresses=addresses, balance=ETHER + number + 1)

    medians = in_turns(pair, max(rounds, 5), touch)
    us = {name: 1e6 * seconds / TOUCHED for name, seconds in medians.items()}
    ratio = us["py-evm"] / us["atoll"]
    print(
        f"{'state root,':<12}{accounts:>7,} accounts  us per touched account: "
        f"py-evm {us['py-evm']:.0f}, atoll {us['atoll']:.1f}, ratio {ratio:.1f}   "
        f"{verdict(ratio, 15.0)}",
        flush=True,
    )
    return ratio >= 15.0


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="blocks of a quarter of the size")
    parser.add_argument("--only", default="", help="the workloads whose names begin with this")
    parser.add_argument("--eels", help="the Python of an environment with ethereum-execution")
    parser.add_argument("--no-eels", action="store_true")
    return parser.parse_args()


def main() -> int:
    args = options()
    engines = [Process("py-evm", sys.executable)]
    if not args.no_eels:
        try:
            engines.append(Process("EELS", args.eels or str(eels_env.python())))
        except subprocess.CalledProcessError as error:
            print(f"EELS cannot be installed, it is left out: {error}", file=sys.stderr)
    engines.append(Process("atoll", sys.executable))
    try:
        header = "".join(f"{name:>10}" for name in ENGINES)
        print(f"{'':<26}{header}   ratio   Mgas/s   bar", flush=True)
        met = [
            run_workload(engines, workload, args.rounds)
            for workload in workloads(quick=args.quick)
            if workload.name.startswith(args.only)
        ]
        if "state root".startswith(args.only):
            met += [run_roots(engines, count, args.rounds) for count in (10_000, 100_000)]
        for engine in engines:
            sizes = engine.ask("memory")
            print(
                f"memory, {engine.name:<8} {sizes['now']:6.0f} MB now, {sizes['peak']:.0f} MB at most"
            )
    finally:
        for engine in engines:
            engine.close()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
