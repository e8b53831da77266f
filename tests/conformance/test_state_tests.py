"""ethereum/execution-spec-tests, `state_tests`: every case must give the reference's post state.

A case is one transaction on a given state. Compared are the state root, the hash of the logs and,
where the transaction is invalid, the rule it breaks. Cases of Prague, and those of older forks but for
the ones that show what a later fork changed, which are counted with the reason.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from node.execution.evm.blobs import BlobTransaction, blob_base_fee
from node.execution.evm.evm import Evm
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.receipts import Log
from node.execution.state.state import State
from node.execution.tracers.trace_calls import CallTracer
from node.execution.tracers.trace_prestate import PrestateTracer
from node.execution.tracers.tracing import TracedEvm, Tracer
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, keccak256
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.keys import SigningKey
from node.primitives.transaction import (
    MAX_TRANSACTION_BYTES,
    Transaction,
    decode_transaction,
)
from tests.conformance.table import ConformanceTable
from tests.support.deep_stack import run_with_stack

FORK = "Prague"
PRAGUE_CASES = 2429
OLDER_CASES = 12
# the tests of older forks whose very subject is that Prague, or a fork before it, is not active yet
CHANGED_LATER = {
    "test_blob_type_tx_pre_fork": "blob transactions do not exist yet (EIP-4844)",
    "test_blobbasefee_before_fork": "BLOBBASEFEE is no opcode yet (EIP-7516)",
    "eip4844_blobs/test_point_evaluation_precompile.py::test_precompile_before_fork": (
        "the point evaluation precompile does not exist yet (EIP-4844)"
    ),
    "eip2537_bls_12_381_precompiles/test_bls12_precompiles_before_fork.py": (
        "the BLS12-381 precompiles do not exist yet (EIP-2537)"
    ),
}
CHANGED_CASES = 11
TRACED_SAMPLE = 5  # one case of so many is run once more under each tracer

# the test suite's name of a rule -> how our error begins
RULES = {
    "INSUFFICIENT_ACCOUNT_FUNDS": ("insufficient funds for gas * price + value",),
    "INTRINSIC_GAS_TOO_LOW": (
        "intrinsic gas too low",
        "insufficient gas for floor data gas cost",
    ),
    "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH": ("blob 0 has invalid", "blob 1 has invalid"),
    "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS": ("max fee per blob gas less than block blob gas fee",),
    "INITCODE_SIZE_EXCEEDED": ("max initcode size exceeded",),
    "INSUFFICIENT_MAX_FEE_PER_GAS": ("max fee per gas less than block base fee",),
    "TYPE_3_TX_ZERO_BLOBS": ("blob transaction missing blob hashes",),
    "TYPE_3_TX_BLOB_COUNT_EXCEEDED": ("blob transaction has too many blobs",),
    "TYPE_4_TX_CONTRACT_CREATION": ("a set-code transaction (type 4) needs a recipient",),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    fork: str
    directory: str
    test: dict[str, Any]
    post: dict[str, Any]

    @property
    def changed_later(self) -> str | None:
        """Why Prague gives another result by its rules; None where it gives the same."""
        if self.fork == FORK:
            return None
        return next((why for part, why in CHANGED_LATER.items() if part in self.name), None)


def all_cases(directory: Path) -> Iterator[Case]:
    """Those of all forks."""
    for path in sorted(directory.rglob("*.json")):
        for name, test in json.loads(path.read_text()).items():
            for fork, posts in test["post"].items():
                for index, post in enumerate(posts):
                    yield Case(
                        name=f"{name}#{index}",
                        fork=fork,
                        directory=path.relative_to(directory).parts[0],
                        test=test,
                        post=post,
                    )


def cases(directory: Path) -> Iterator[Case]:
    """Those of Prague."""
    return (case for case in all_cases(directory) if case.fork == FORK)


def number(text: str) -> int:
    return int(text, 16)


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def open_state(accounts: dict[str, Any]) -> State:
    delta = build_genesis(
        {
            Address(raw(address)): GenesisAccount(
                balance=number(account["balance"]),
                nonce=number(account["nonce"]),
                code=raw(account["code"]),
                storage={number(k): number(v) for k, v in account["storage"].items()},
            )
            for address, account in accounts.items()
        }
    )
    return State(delta.nodes.get, delta.root)


def context_of(test: dict[str, Any]) -> BlockContext:
    env = test["env"]
    return BlockContext(
        chain_id=number(test.get("config", {}).get("chainid", "0x1")),
        number=number(env["currentNumber"]),
        timestamp=number(env["currentTimestamp"]),
        coinbase=Address(raw(env["currentCoinbase"])),
        gas_limit=number(env["currentGasLimit"]),
        base_fee=number(env["currentBaseFee"]),
        # before Paris, whose difficulty the opcode gave
        prev_randao=Hash32(raw(env.get("currentRandom", "0x" + "00" * 32))),
        block_hash=lambda height: keccak256(str(height).encode()),
        blob_base_fee=blob_base_fee(number(env.get("currentExcessBlobGas", "0x0"))),
    )


def transaction_of(case: Case, chain_id: int) -> Transaction:
    """From the wire bytes as a node decodes them.

    Of its fields where a node would refuse the bytes for a rule of its own: blobs, size.
    """
    fields = case.test["transaction"]
    wire = raw(case.post["txbytes"])
    if "maxFeePerBlobGas" not in fields and len(wire) <= MAX_TRANSACTION_BYTES:
        return decode_transaction(wire)
    sender = SigningKey(raw(fields["secretKey"])).address
    assert sender == raw(fields["sender"])
    index = case.post["indexes"]
    access_lists = fields.get("accessLists")
    price = fields.get("gasPrice", "0x0")
    common: dict[str, Any] = {
        "chain_id": chain_id,
        "nonce": number(fields["nonce"]),
        "max_priority_fee_per_gas": number(fields.get("maxPriorityFeePerGas", price)),
        "max_fee_per_gas": number(fields.get("maxFeePerGas", price)),
        "gas": number(fields["gasLimit"][index["gas"]]),
        "to": Address(raw(fields["to"])) if raw(fields["to"]) else None,
        "value": number(fields["value"][index["value"]]),
        "data": raw(fields["data"][index["data"]]),
        "access_list": tuple(
            (Address(raw(entry["address"])), tuple(number(k) for k in entry["storageKeys"]))
            for entry in (access_lists[index["data"]] if access_lists else ())
        ),
        "v": 0,
        "r": 0,
        "s": 0,
        "raw": wire,
        "sender": sender,
    }
    if "maxFeePerBlobGas" not in fields:
        assert "authorizationList" not in fields
        return Transaction(type=0 if "gasPrice" in fields else 2, **common)
    return BlobTransaction(
        type=3,
        max_fee_per_blob_gas=number(fields["maxFeePerBlobGas"]),
        blob_hashes=tuple(raw(item) for item in fields["blobVersionedHashes"]),
        **common,
    )


def logs_hash(logs: tuple[Log, ...]) -> str:
    return "0x" + keccak256(rlp.encode([log.items() for log in logs])).hex()


def run_case(case: Case, evm_of: Callable[[int], Evm] = Evm) -> str | None:
    """None where the case passes, else what went wrong."""
    context = context_of(case.test)
    state = open_state(case.test["pre"])
    logs: tuple[Log, ...] = ()
    refused: str | None = None
    try:
        tx = transaction_of(case, context.chain_id)
        result = evm_of(context.chain_id).apply_transaction(
            state, context, tx, gas_available=context.gas_limit
        )
        logs = result.logs
    except (InvalidTransaction, DecodeError) as error:
        refused = str(error)
    expected = case.post.get("expectException")
    if (expected is None) != (refused is None):
        return f"expected {expected}, got {refused}"
    if expected is not None and refused is not None:
        names = [name.split(".")[1] for name in expected.split("|")]
        if not any(refused.startswith(RULES[name]) for name in names):
            return f"expected {expected}, got {refused}"
    if logs_hash(logs) != case.post["logs"]:
        return "the logs differ"
    root = "0x" + state.seal().root.hex()
    return None if root == case.post["hash"] else f"state root {root} is not {case.post['hash']}"


def run_all(selected: Iterable[Case], evm_of: Callable[[int], Evm] = Evm) -> tuple[int, list[str]]:
    count = 0
    failures = []
    for case in selected:
        count += 1
        problem = run_case(case, evm_of)
        if problem is not None:
            failures.append(f"{case.name}: {problem}")
    return count, failures


@pytest.mark.slow
def test_prague_and_what_it_left_as_it_was(
    state_tests: Path, conformance_table: ConformanceTable
) -> None:
    """The table that pytest prints at the end has the counts of each fork and directory."""
    failures = []

    def run() -> None:
        for case in all_cases(state_tests):
            why = case.changed_later
            if why is not None:
                conformance_table.left_out(case.fork, case.directory, why)
                continue
            problem = run_case(case)
            conformance_table.ran(case.fork, case.directory, failed=problem is not None)
            if problem is not None:
                failures.append(f"{case.fork} {case.name}: {problem}")

    run_with_stack(run)
    count = conformance_table.total
    assert not failures, f"{len(failures)} of {count} fail:\n" + "\n".join(failures[:40])
    assert count == PRAGUE_CASES + OLDER_CASES
    assert conformance_table.count(FORK) == PRAGUE_CASES
    assert conformance_table.omitted == CHANGED_CASES


class EveryStep(Tracer):
    """Steps through all code and keeps nothing: some cases are endless loops."""

    watched = None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: CallTracer(with_logs=True), 0),
        (lambda: PrestateTracer(diff=True), 1),
        (EveryStep, 3),
    ],
    ids=["calls", "prestate", "steps"],
)
def test_a_trace_changes_nothing(state_tests: Path, make: Callable[[], Tracer], start: int) -> None:
    """A sample of the cases has the reference's post state under each tracer too."""

    def run() -> tuple[int, list[str]]:
        sample = islice(cases(state_tests), start, None, TRACED_SAMPLE)
        return run_all(sample, lambda chain_id: TracedEvm(chain_id, make()))

    count, failures = run_with_stack(run)
    assert not failures, f"{len(failures)} of {count} fail:\n" + "\n".join(failures[:40])
    assert count >= PRAGUE_CASES // TRACED_SAMPLE
