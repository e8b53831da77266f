"""The differential fuzzer, a little of it: our execution against py-evm, and EELS where it is named.

`ATOLL_EELS` is the Python of an environment with `ethereum-execution` (see differential/eels_env.py).
More of it: `.venv/bin/python -m tests.conformance.differential --help`.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.conformance.differential.assembly import Goto, Label, Program, assemble
from tests.conformance.differential.case import Account, Block, Case, Transaction, address_of
from tests.conformance.differential.compare import differences
from tests.conformance.differential.engines import ATOLL, PYEVM, Engines
from tests.conformance.differential.generate import generate, identity_of
from tests.conformance.differential.shrink import readable, shrink

pytestmark = pytest.mark.slow

SEED = 2026
CASES = 100
KEY = b"\x11" * 32
SENDER = address_of(KEY)
TARGET = b"\xc0" * 20


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    with Engines(os.environ.get("ATOLL_EELS")) as running:
        yield running


def test_random_transactions_agree(engines: Engines) -> None:
    kinds: Counter[str] = Counter()
    unexplained = []
    for index in range(CASES):
        case = generate(SEED, index)
        ours, found = differences(engines, case.wire())
        for outcome in ours.get("outcomes", ()):
            kinds["invalid" if "invalid" in outcome else str(outcome["status"])] += 1
        unexplained += [f"{case.name}: {d.engine}: {d.text}" for d in found if not d.faults]
    assert not unexplained, "\n".join(unexplained)
    # a fuzzer whose transactions are all refused, or all fail, finds nothing
    assert kinds["1"] > 0.3 * kinds.total()
    assert kinds["0"] > 0.1 * kinds.total()


def test_a_seed_replays() -> None:
    again = [identity_of(generate(7, index)) for index in range(20)]
    assert again == [identity_of(generate(7, index)) for index in range(20)]
    assert len(set(again)) == 20


def _case(code: Program) -> Case:
    tx = Transaction(type=2, key=KEY, nonce=0, gas=200_000, max_fee=10, tip=1, to=TARGET)
    return Case(
        name="made",
        block=Block(),
        accounts={SENDER: Account(balance=10**20), TARGET: Account(nonce=1, code=code)},
        transactions=(tx,),
    )


class TestTheTools:
    def test_programs_assemble_with_their_labels(self) -> None:
        made = Program(pieces=(Goto(1), b"\x56", b"\xfe", Label(1), b"\x00"))
        assert assemble(made) == bytes.fromhex("610005 56 fe 5b 00")
        gone = Program(pieces=(Goto(1), b"\x56"))
        assert assemble(gone) == bytes.fromhex("61ffff 56")

    def test_a_known_fault_is_named(self, engines: Engines) -> None:
        """MODEXP of nothing to the power of nothing modulo 5, stored."""
        pieces = (
            b"\x60\x01\x60\x40\x52",  # a modulus of one byte
            b"\x60\x05\x60\x60\x53",
            b"\x60\x20\x60\x80\x60\x61\x5f\x60\x05\x61\xff\xff\xfa\x50",
            b"\x60\x80\x51\x5f\x55",
        )
        _, found = differences(engines, _case(Program(pieces=pieces)).wire())
        assert [(d.engine, d.faults) for d in found] == [(PYEVM, ("modexp",))]

    def test_a_failing_case_is_shrunk_to_what_matters(self, engines: Engines) -> None:
        """What is looked for here is a LOG1, in the middle of a random case."""

        def logs_once(case: Case) -> bool:
            answer = engines[ATOLL].run(case.wire())
            return any(o.get("status") and o["logs"] != EMPTY for o in answer["outcomes"])

        case = next(c for c in (generate(SEED, n) for n in range(50)) if logs_once(c))
        small = shrink(case, logs_once, seconds=4)
        assert logs_once(small)
        assert len(small.transactions) == 1
        assert len(readable(small).splitlines()) <= 16


EMPTY = "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
"""The hash of an empty list of logs."""
