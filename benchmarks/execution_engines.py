"""The engines of `benchmarks/execution.py`: one process each, so that none profits from another.

    python benchmarks/execution_engines.py atoll|py-evm|EELS

Speaks JSON lines. `load` opens a state, runs set-up transactions on it and gives the engine its parent
block; `run` executes a block on that parent from the wire bytes of its transactions: decoding, senders,
execution, receipts, all three roots and the write, and answers with its CPU seconds. Every `run` starts
from the loaded state again. `touch` changes balances and answers with the CPU seconds of the new root.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from tests.conformance.differential.wire import serve

Request = dict[str, Any]
COINBASE = "c0" * 20


class Engine(Protocol):
    def load(self, request: Request) -> Request: ...
    def run(self, request: Request) -> Request: ...


def case(request: Request) -> Request:
    """The engines of the fuzzer open a state from this."""
    return {
        "chain_id": request["chain_id"],
        "block": {
            "number": 1000,
            "timestamp": 1_700_000_000,
            "coinbase": COINBASE,
            "gas_limit": 1_000_000_000,
            "base_fee": 7,
            "prev_randao": "5a" * 32,
            "beacon_root": "be" * 32,
        },
        "accounts": request.get("accounts", {}),
        "transactions": [],
        "separate": False,
        "system": False,
        "dump": False,
    }


class Atoll:
    """Ours, as a node imports a block: LevelDB, one batch; the pool's cached senders are not used."""

    def __init__(self) -> None:
        from node.concurrency.interpreter import check_interpreter
        from node.storage.level import LevelStore

        check_interpreter()
        self._folder = tempfile.mkdtemp(prefix="atoll-benchmark-")
        self._level = LevelStore.open(Path(self._folder) / "db")

    def close(self) -> None:
        self._level.close()
        shutil.rmtree(self._folder)

    def load(self, request: Request) -> Request:
        from node.execution.evm.evm import Evm
        from node.execution.state.genesis import GenesisAccount, build_genesis
        from node.execution.state.state_store import StateStore
        from node.primitives.basics import Address

        self._case = case(request)
        self._evm = Evm(request["chain_id"])
        self._store = StateStore(self._level.get)
        accounts = request.get("accounts", {})
        delta = build_genesis(
            {
                Address(bytes.fromhex(address)): GenesisAccount(
                    balance=int(account["balance"], 16), nonce=account["nonce"]
                )
                for address, account in accounts.items()
            }
            or {
                Address(bytes.fromhex(address)): GenesisAccount(balance=10**18)
                for address in plain_addresses(request["plain"])
            }
        )
        self._level.write(delta.nodes, sync=True)
        self._root = delta.root
        if request.get("setup"):
            self._import([bytes.fromhex(tx) for tx in request["setup"]], keep=True)
        return {"root": self._root.hex()}

    def _import(self, wires: list[bytes], *, keep: bool) -> tuple[Any, int, bytes]:
        from node.execution.frame.context import BlockContext
        from node.execution.state.receipts import Receipt, or_blooms
        from node.execution.trie.trie import ordered_root
        from node.primitives.basics import Address, Hash32
        from node.primitives.transaction import decode_transaction

        block = self._case["block"]
        context = BlockContext(
            chain_id=self._case["chain_id"],
            number=block["number"],
            timestamp=block["timestamp"],
            coinbase=Address(bytes.fromhex(block["coinbase"])),
            gas_limit=block["gas_limit"],
            base_fee=block["base_fee"],
            prev_randao=Hash32(bytes.fromhex(block["prev_randao"])),
        )
        state = self._store.open(self._root)
        used = 0
        receipts = []
        for wire in wires:
            tx = decode_transaction(wire)
            result = self._evm.apply_transaction(
                state, context, tx, gas_available=context.gas_limit - used
            )
            used += result.gas_used
            receipts.append(
                Receipt(
                    type=tx.type,
                    status=int(result.success),
                    cumulative_gas_used=used,
                    logs=result.logs,
                )
            )
        receipts_root = ordered_root([receipt.encoded for receipt in receipts])
        ordered_root(wires)
        or_blooms([receipt.bloom for receipt in receipts])
        delta = state.seal()
        self._level.write(delta.nodes, sync=True)
        if keep:
            self._root = delta.root
        return delta.root, used, receipts_root

    def run(self, request: Request) -> Request:
        wires = [bytes.fromhex(wire) for wire in request["transactions"]]
        begin = time.process_time()
        root, used, receipts_root = self._import(wires, keep=False)
        cpu = time.process_time() - begin
        return {"cpu": cpu, "root": root.hex(), "gas": used, "receipts": receipts_root.hex()}

    def touch(self, request: Request) -> Request:
        state = self._store.open(self._root)
        for address in request["addresses"]:
            state.set_balance(bytes.fromhex(address), request["balance"])
        begin = time.process_time()
        delta = state.seal()
        cpu = time.process_time() - begin
        self._level.write(delta.nodes, sync=True)
        self._root = delta.root
        return {"cpu": cpu, "root": delta.root.hex()}


class PyEvm:
    """Stock py-evm as its VM.import_block works, over a dictionary: it has no LevelDB of its own."""

    def load(self, request: Request) -> Request:
        from tests.conformance.differential import engine_pyevm

        if "plain" in request:
            return self._load_plain(request["plain"])
        self._case = case(request)
        self._vm = engine_pyevm.open_vm(self._case)
        for wire in request.get("setup", ()):
            tx = self._vm.get_transaction_builder().decode(bytes.fromhex(wire))
            self._vm.state.apply_transaction(tx)
            self._vm.state.lock_changes()
        self._vm.state.persist()
        self._root = self._vm.state.state_root
        return {"root": self._root.hex()}

    def _load_plain(self, count: int) -> Request:
        """Accounts by our trie, whose nodes are the same: py-evm's own takes minutes for 100,000."""
        from eth.db.account import AccountDB
        from eth.db.atomic import AtomicDB

        from node.execution.state.genesis import GenesisAccount, build_genesis
        from node.primitives.basics import Address

        delta = build_genesis(
            {
                Address(bytes.fromhex(address)): GenesisAccount(balance=10**18)
                for address in plain_addresses(count)
            }
        )
        database = AtomicDB()
        for key, body in delta.nodes.items():
            database[key] = body
        self._accounts = AccountDB(database, delta.root)
        return {"root": delta.root.hex()}

    def run(self, request: Request) -> Request:
        cls = type(self._vm)
        header = self._vm.get_header().copy(state_root=self._root)
        wires = [bytes.fromhex(wire) for wire in request["transactions"]]
        vm = cls(
            header=header,
            chaindb=self._vm.chaindb,
            chain_context=self._vm.chain_context,
            consensus_context=self._vm.consensus_context,
        )
        context = cls.create_execution_context(header, [], self._vm.chain_context)
        begin = time.process_time()
        vm._state = cls._state_class(vm.chaindb.db, context, self._root)
        builder = vm.get_transaction_builder()
        txs = [builder.decode(wire) for wire in wires]
        new_header, receipts, _ = vm.apply_all_transactions(txs, header)
        vm.state.persist()
        block = vm.set_block_transactions_and_withdrawals(
            vm.get_block(), new_header.copy(state_root=vm.state.state_root), txs, receipts
        )
        cpu = time.process_time() - begin
        return {
            "cpu": cpu,
            "root": block.header.state_root.hex(),
            "gas": block.header.gas_used,
            "receipts": block.header.receipt_root.hex(),
        }

    def touch(self, request: Request) -> Request:
        for address in request["addresses"]:
            self._accounts.set_balance(bytes.fromhex(address), request["balance"])
        begin = time.process_time()
        self._accounts.persist()
        cpu = time.process_time() - begin
        return {"cpu": cpu, "root": self._accounts.state_root.hex()}


class Eels:
    """EELS: process_transaction for each, then its roots. Its state is a dictionary: no write."""

    def load(self, request: Request) -> Request:
        from tests.conformance.differential import engine_eels

        self._engine = engine_eels
        self._case = case(request)
        self._setup = request.get("setup", [])
        return {}

    def run(self, request: Request) -> Request:
        from ethereum.forks.prague import fork, vm  # type: ignore[import-not-found]
        from ethereum.forks.prague.state import state_root  # type: ignore[import-not-found]
        from ethereum.forks.prague.trie import root  # type: ignore[import-not-found]
        from ethereum_types.numeric import Uint  # type: ignore[import-not-found]

        env = self._engine.environment(self._case)
        output = vm.BlockOutput()
        for index, wire in enumerate(self._setup):
            tx = self._engine.decode(bytes.fromhex(wire))
            fork.process_transaction(env, output, tx, Uint(index))
        wires = [bytes.fromhex(wire) for wire in request["transactions"]]
        output = vm.BlockOutput()
        begin = time.process_time()
        for index, wire in enumerate(wires):
            fork.process_transaction(env, output, self._engine.decode(wire), Uint(index))
        roots = [root(output.transactions_trie), root(output.receipts_trie), state_root(env.state)]
        cpu = time.process_time() - begin
        return {
            "cpu": cpu,
            "root": roots[2].hex(),
            "gas": int(output.block_gas_used),
            "receipts": roots[1].hex(),
        }


def plain_addresses(count: int) -> list[str]:
    """Addresses of the accounts that `touch` works on."""
    return [(0x1000 + n).to_bytes(20, "big").hex() for n in range(count)]


def memory(_: Request) -> Request:
    """Resident now and at most so far, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
    return {"now": int(sizes["VmRSS"]) / 1024, "peak": int(sizes["VmHWM"]) / 1024}


def main() -> None:
    engine: Any = {"atoll": Atoll, "py-evm": PyEvm, "EELS": Eels}[sys.argv[1]]()

    def answer(request: Request) -> Request:
        if request["op"] == "memory":
            return memory(request)
        reply: Request = getattr(engine, request["op"])(request)
        return reply

    serve(answer)
    if isinstance(engine, Atoll):
        engine.close()


if __name__ == "__main__":
    main()
