"""The cost of a block that is full of one thing: every opcode and precompile in turn, at its worst.

    .venv/bin/python benchmarks/gas_costs.py [--only TEXT ...] [--rounds 3]

Prints CPU milliseconds per million gas and the ratio to plain computation, measured beside it in the
same run; the dearest last. What is above `LIMIT` lets a user stall the chain: the exit code is then 1.
The CPU time is that of a whole block, on a state in LevelDB of which nothing is in memory: execution,
roots, bloom and the write.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gas_blocks import BlockFiller, plain
from benchmarks.gas_border import Border
from benchmarks.gas_programs import fillers
from node.concurrency.interpreter import check_interpreter
from node.execution.evm.evm import Evm
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.receipts import Receipt, or_blooms
from node.execution.state.state_store import StateStore
from node.execution.trie.trie import ordered_root
from node.primitives.basics import Address
from node.primitives.transaction import decode_transaction
from node.storage.level import LevelStore
from tests.conformance.differential.case import Transaction, address_of
from tests.support.deep_stack import run_with_stack

LIMIT = 10.0
KEY = b"\x11" * 32
CONTRACT = Address(b"\xc0" * 20)
CONTEXT = BlockContext(
    chain_id=1,
    number=1000,
    timestamp=1_700_000_000,
    coinbase=Address(b"\xcb" * 20),
    gas_limit=1 << 40,
    base_fee=1,
    block_hash=lambda height: height.to_bytes(32, "big"),
    beacon=Border(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`ms` of CPU per million gas, `ratio` to plain computation; `gas` that the block used."""

    name: str
    ms: float
    ratio: float
    gas: int


class Block:
    """A block that one filler fills, on a state of its own in LevelDB under `directory`.

    Every run begins with nothing of the state in memory but what LevelDB keeps.
    """

    def __init__(self, filler: BlockFiller, directory: Path) -> None:
        self.filler = filler
        self._runs = 0
        alloc = {Address(address_of(KEY)): GenesisAccount(balance=10**30)}
        alloc[CONTRACT] = GenesisAccount(
            nonce=1, balance=10**20, code=filler.code, storage=filler.storage
        )
        for address, (balance, code) in filler.accounts.items():
            alloc[Address(address)] = GenesisAccount(
                balance=balance, nonce=1 if code else 0, code=code
            )
        delta = build_genesis(alloc)
        self._root = delta.root
        self._store = LevelStore.open(directory)
        self._store.write(delta.nodes, sync=False)
        self._wires = [
            Transaction(
                type=4 if authorizations else 2,
                key=KEY,
                nonce=nonce,
                gas=gas,
                max_fee=2,
                tip=0,
                to=CONTRACT if to is None else to,
                data=data,
                access_list=access_list,
                authorizations=authorizations,
            ).encode()
            for nonce, (to, data, gas, access_list, authorizations) in enumerate(filler.sent())
        ]

    def close(self) -> None:
        self._store.close()

    def run(self) -> tuple[float, int]:
        """(CPU seconds, gas used) of executing the block, its roots, its bloom and the write."""
        # no two blocks have the same time: what caches remember of the last run must not help
        self._runs += 1
        context = replace(CONTEXT, timestamp=CONTEXT.timestamp + self._runs)
        evm = Evm(CONTEXT.chain_id)
        used = 0
        receipts = []
        begin = time.process_time()
        state = StateStore(self._store.get).open(self._root)
        for wire in self._wires:
            tx = decode_transaction(wire)
            result = evm.apply_transaction(state, context, tx, gas_available=context.gas_limit)
            used += result.gas_used
            receipts.append(
                Receipt(
                    type=tx.type,
                    status=int(result.success),
                    cumulative_gas_used=used,
                    logs=result.logs,
                )
            )
            if not result.success and not self.filler.fails:
                raise AssertionError(f"{self.filler.name}: {result.error}")
        self._store.write(state.seal().nodes, sync=False)
        ordered_root(self._wires)
        ordered_root([receipt.encoded for receipt in receipts])
        or_blooms([receipt.bloom for receipt in receipts])
        return time.process_time() - begin, used


@contextmanager
def _block(filler: BlockFiller) -> Iterator[Block]:
    with TemporaryDirectory(prefix="gas-costs-") as directory:
        block = Block(filler, Path(directory))
        try:
            yield block
        finally:
            block.close()


def measure(chosen: Sequence[BlockFiller], rounds: int) -> list[Cost]:
    """The cost of each: the best of `rounds` runs against the best of as many runs of plain computation
    between them. What else the machine does makes both slower, never faster.
    """
    with _block(plain()) as reference:
        reference.run()
        return [_cost(filler, reference, rounds) for filler in chosen]


def suspects(chosen: Sequence[BlockFiller]) -> list[BlockFiller]:
    """The blocks that may be above the limit, by one run of each and the best of a few of plain computation."""
    with _block(plain()) as reference:
        reference.run()
        base_seconds, base_gas = min(reference.run() for _ in range(5))
    found = []
    for filler in chosen:
        with _block(filler) as block:
            seconds, gas = block.run()
        if seconds / gas > 0.7 * LIMIT * base_seconds / base_gas:
            found.append(filler)
    return found


def _cost(filler: BlockFiller, reference: Block, rounds: int) -> Cost:
    speeds, plain_speeds, used = [], [], 0
    with _block(filler) as block:
        if rounds > 1:
            block.run()  # imports what is rarely needed
        for _ in range(rounds):
            base_seconds, base_gas = reference.run()
            plain_speeds.append(base_seconds / base_gas)
            seconds, used = block.run()
            speeds.append(seconds / used)
    return Cost(
        name=filler.name,
        ms=min(speeds) * 1e9,
        ratio=min(speeds) / min(plain_speeds),
        gas=used,
    )


def above_limit(rounds: int = 5) -> list[Cost]:
    """The costs above the limit, measured again with more rounds before they are believed."""
    return [cost for cost in measure(suspects(fillers()), rounds) if cost.ratio > LIMIT]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[""], help="names that contain one of these")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--check", action="store_true", help="once, more often near the limit; prints what is above"
    )
    args = parser.parse_args()
    check_interpreter()
    if args.check:
        dear = run_with_stack(above_limit)
        for cost in dear:
            print(f"{cost.ratio:7.1f} x, {cost.ms:8.1f} ms/Mgas: {cost.name}")
        return 1 if dear else 0
    chosen = [filler for filler in fillers() if any(text in filler.name for text in args.only)]
    costs = run_with_stack(lambda: measure([plain(), *chosen], args.rounds))
    print(f"{'':<44}{'ms/Mgas':>9}{'ratio':>8}{'Mgas':>8}")
    for cost in sorted(costs, key=lambda cost: cost.ratio):
        mark = "  above the limit" if cost.ratio > LIMIT else ""
        print(f"{cost.name:<44}{cost.ms:9.1f}{cost.ratio:8.2f}{cost.gas / 1e6:8.2f}{mark}")
    return 1 if any(cost.ratio > LIMIT for cost in costs) else 0


if __name__ == "__main__":
    sys.exit(main())
