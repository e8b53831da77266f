"""A test that memory stays flat while blocks follow each other on a large state.

    .venv/bin/python benchmarks/state_memory.py [--blocks 10000] [--accounts 100000] [--cache-nodes N]

Every block holds plain transfers to any of the accounts and ERC-20 transfers between some of them, and
is executed, sealed and written to LevelDB as a node does it: one synchronous batch. Printed are, per
1,000 blocks, the anonymous memory of the process (what Python and LevelDB allocate), the resident part of
LevelDB's mapped files (which the kernel takes back when it needs to), the decoded trie nodes in memory,
and the CPU milliseconds per block. The exit code is 1 where the anonymous memory of the last half exceeds
that of the half before by more than a tenth, or the cache its bound.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from execution import ETHER, Senders, call, token

from node.concurrency.interpreter import check_interpreter
from node.config.node_config import CacheConfig
from node.execution.evm.evm import Evm
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state_store import StateStore
from node.primitives.basics import Address, Hash32, keccak256
from node.primitives.transaction import decode_transaction
from node.storage.level import LevelStore
from tests.conformance.differential.case import CHAIN_ID
from tests.support.deep_stack import run_with_stack

SIGNERS = 64
HOLDERS = 5000  # accounts that the token has been sent to, at most
STEP = 1000
ALLOWED_GROWTH = 1.1


def resident() -> dict[str, float]:
    """The kinds of resident memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith("Rss")
    }


class Soak:
    """A chain of blocks on a state of `accounts` accounts, in the directory `folder`."""

    def __init__(self, folder: Path, accounts: int, cache_nodes: int) -> None:
        self._evm = Evm(CHAIN_ID)
        self._level = LevelStore.open(folder)
        self.store = StateStore(self._level.get, cache_nodes=cache_nodes)
        self._senders = Senders(SIGNERS)
        self._accounts = [Address(keccak256(b"account %d" % n)[:20]) for n in range(accounts)]
        alloc = {address: GenesisAccount(balance=ETHER) for address in self._accounts}
        for signer in self._senders.addresses:
            alloc[Address(signer)] = GenesisAccount(balance=10**9 * ETHER)
        delta = build_genesis(alloc)
        self._level.write(delta.nodes, sync=True)
        self._root = delta.root
        self._height = 0
        self._random = random.Random(1)
        self._token, setup = token(self._senders, "Token", SIGNERS)
        self._execute(setup)

    def block(self, transactions: int) -> None:
        """Execute one: half of it plain transfers, half of the token."""
        wires = []
        for n in range(transactions):
            sender = self._random.randrange(SIGNERS)
            to = self._random.choice(self._accounts)
            if n % 2:
                wires.append(self._senders.sign(sender, to, value=1, gas=21_000))
            else:
                holder = self._random.choice(self._accounts[:HOLDERS])
                data = call("transfer(address,uint256)", holder, 1)
                wires.append(self._senders.sign(sender, self._token, data))
        self._execute(wires)

    def _execute(self, wires: list[bytes]) -> None:
        self._height += 1
        context = BlockContext(
            chain_id=CHAIN_ID,
            number=self._height,
            timestamp=1_700_000_000 + self._height,
            coinbase=Address(b"\xc0" * 20),
            gas_limit=1_000_000_000,
            base_fee=7,
            prev_randao=Hash32(b"\x5a" * 32),
        )
        state = self.store.open(self._root)
        for wire in wires:
            tx = decode_transaction(wire)
            result = self._evm.apply_transaction(
                state, context, tx, gas_available=context.gas_limit
            )
            if not result.success:
                raise SystemExit(f"a transaction of block {self._height} fails")
        delta = state.seal()
        self._level.write(delta.nodes, sync=True)
        self._root = delta.root

    def close(self) -> None:
        self._level.close()


def run(args: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory(prefix="atoll-memory-") as folder:
        soak = Soak(Path(folder) / "db", args.accounts, args.cache_nodes)
        print(f"{args.accounts:,} accounts, {args.transactions} transactions per block, ", end="")
        print(f"a cache of {args.cache_nodes:,} nodes")
        print(f"{'blocks':>7}{'anonymous MB':>14}{'mapped MB':>11}{'nodes':>9}{'CPU ms/block':>14}")
        sizes = []
        begin = time.process_time()
        for height in range(1, args.blocks + 1):
            soak.block(args.transactions)
            if height % args.step == 0:
                now = resident()
                cpu = 1000 * (time.process_time() - begin) / args.step
                print(
                    f"{height:7,}{now['RssAnon']:14.1f}{now['RssFile']:11.1f}"
                    f"{soak.store.cached_nodes:9,}{cpu:14.2f}",
                    flush=True,
                )
                sizes.append(now["RssAnon"])
                if soak.store.cached_nodes > args.cache_nodes:
                    raise SystemExit("the cache is over its bound")
                begin = time.process_time()
        soak.close()
    half = len(sizes) // 2
    growth = max(sizes[half:]) / max(sizes[:half])
    print(f"the last half is at most {growth:.3f} of the first (allowed: {ALLOWED_GROWTH})")
    return growth <= ALLOWED_GROWTH


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--transactions", type=int, default=10, help="in a block")
    parser.add_argument("--cache-nodes", type=int, default=CacheConfig().trie_nodes)
    parser.add_argument("--step", type=int, default=STEP, help="blocks between two lines")
    args = parser.parse_args()
    if args.blocks < 2 * args.step:
        parser.error("--blocks: at least two steps are needed to compare halves")
    check_interpreter()
    return 0 if run_with_stack(lambda: run(args)) else 1


if __name__ == "__main__":
    sys.exit(main())
