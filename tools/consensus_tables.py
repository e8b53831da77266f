"""Writes the generated parts of docs/consensus.md: transition table, diagram, probabilities.

    python tools/consensus_tables.py           rewrite them
    python tools/consensus_tables.py --check   exit 1 if they are out of date

The transitions are not listed here but found: ``consensus.round_state.apply`` is given every kind of event in
every kind of state, and its result is written down.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from consensus.effects import (
    BuildValue,
    Decided,
    Effect,
    EnteredRound,
    SendProposal,
    SendVote,
    StartTimeout,
)
from consensus.round_state import (
    EarlierPolka,
    FreshProposal,
    NewRound,
    PolkaAny,
    PolkaBlock,
    PolkaNil,
    PrecommitAny,
    PrecommitValue,
    PrevoteTimeout,
    ProposeTimeout,
    Reproposal,
    RoundEvent,
    RoundState,
    Step,
    ValueReady,
    apply,
)
from consensus.types import Address, BlockId, Certificate, Height, Round, TimeoutKind

PAGE = Path(__file__).parent.parent / "docs" / "consensus.md"
A, B = BlockId(b"A" * 32), BlockId(b"B" * 32)
R = Round(5)
SIZES = (4, 7, 10, 16, 32, 64, 128, 256, 512)
SHARES = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30)

EVENTS: tuple[tuple[str, str, RoundEvent], ...] = (
    ("L11", "round begins, our turn", NewRound(round=Round(6), proposer=Address(b""), mine=True)),
    ("L11", "round begins", NewRound(round=Round(6), proposer=Address(b""), mine=False)),
    ("L18", "block built", ValueReady(round=R, block_id=A)),
    ("L22", "valid new proposal", FreshProposal(block_id=A, valid=True)),
    ("L22", "invalid new proposal", FreshProposal(block_id=A, valid=False)),
    ("L28", "valid proposal with its polka", Reproposal(block_id=A, pol_round=3, valid=True)),
    ("L28", "invalid proposal with its polka", Reproposal(block_id=A, pol_round=3, valid=False)),
    ("L34", "quorum of any prevotes", PolkaAny()),
    ("L36", "polka for a valid block", PolkaBlock(block_id=A)),
    ("L42", "polka of an earlier round", EarlierPolka(round=Round(4), block_id=A)),
    ("L44", "polka for nil", PolkaNil()),
    ("L47", "quorum of any precommits", PrecommitAny()),
    (
        "L49",
        "quorum of precommits for a valid block",
        PrecommitValue(
            certificate=Certificate(
                height=Height(1), round=R, block_id=A, signers=1, signatures=(b"",)
            )
        ),
    ),
    ("L57", "propose timeout", ProposeTimeout()),
    ("L61", "prevote timeout", PrevoteTimeout()),
)
LOCKS = (
    ("not locked", -1, None),
    ("locked on it", 4, A),
    ("locked on another since", 4, B),
    ("locked on another before", 2, B),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One transition: from which step, by which event, to which step, with which effects."""

    step: Step
    line: str
    event: str
    target: Step
    does: str


def states() -> Iterator[tuple[str, RoundState]]:
    """Every kind of state that the rules tell apart, with the name of its lock."""
    flags = list(itertools.product((False, True), repeat=4))
    for step, (name, locked_round, block) in itertools.product(list(Step)[:3], LOCKS):
        for awaiting, prevote, polka, precommit in flags:
            for valid in (None, A):
                yield (
                    name,
                    RoundState(
                        height=Height(1),
                        round=R,
                        step=step,
                        locked_round=locked_round,
                        locked_block=block,
                        valid_round=max(locked_round, 3) if valid else locked_round,
                        valid_block=valid or block,
                        awaiting_value=awaiting,
                        prevote_timeout_started=prevote,
                        polka_handled=polka,
                        precommit_timeout_started=precommit,
                    ),
                )


def in_words(effect: Effect) -> str | None:
    """The effect in words, None if it is not shown."""
    match effect:
        case SendVote(type=type, block_id=block_id):
            return f"{type.name.lower()} {'nil' if block_id is None else 'the block'}"
        case SendProposal(pol_round=pol_round):
            return "propose it" if pol_round < 0 else "propose the valid block again"
        case BuildValue():
            return "build a block"
        case StartTimeout(timeout=timeout) if timeout.kind is not TimeoutKind.REBROADCAST:
            return f"start the {timeout.kind.name.lower()} timeout"
        case Decided():
            return "decide"
        case EnteredRound() | _:
            return None


def transitions() -> tuple[Row, ...]:
    """The transition table, found by trying."""
    found: dict[Row, set[str]] = {}
    for name, state in states():
        for line, label, event in EVENTS:
            outcome = apply(state, event)
            if outcome.state is state:
                continue
            after = outcome.state
            does = [text for effect in outcome.effects if (text := in_words(effect))]
            if after.locked_round != state.locked_round:
                does.insert(0, "lock it")
            if after.valid_round != state.valid_round:
                does.insert(0, "set it valid")
            row = Row(state.step, line, label, after.step, ", ".join(does))
            found.setdefault(row, set()).add(name)
    everyone = {name for name, _, _ in LOCKS}
    rows = []
    for row, names in found.items():
        by_event = [n for r, n in found.items() if (r.step, r.event) == (row.step, row.event)]
        if len(by_event) > 1 and names != everyone and row.line in ("L22", "L28"):
            order = [name for name, _, _ in LOCKS if name in names]
            row = replace(row, event=f"{row.event}; {' or '.join(order)}")
        rows.append(row)
    order_of = {label: i for i, (_, label, _) in enumerate(EVENTS)}
    return tuple(
        sorted(rows, key=lambda r: (r.step, order_of[r.event.split(";")[0]], r.event, r.does))
    )


def table() -> str:
    """The transitions as a table."""
    lines = ["| step | line | upon | does | then |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.step.name.lower()} | {row.line} | {row.event} | {row.does} | {row.target.name.lower()} |"
        for row in transitions()
    ]
    return "\n".join(lines)


def diagram() -> str:
    """The transitions between steps as a diagram; what stays in its step is in the table only."""
    edges: dict[tuple[Step, Step], dict[str, None]] = {}
    for row in transitions():
        if row.step is not row.target or row.line == "L11":
            edges.setdefault((row.step, row.target), {})[row.line] = None
    what = {line: label for line, label, _ in reversed(EVENTS)}
    what |= {"L11": "next round", "L22": "new proposal", "L28": "proposal with its polka"}
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> propose: L10 start of the height"]
    for (step, target), labels in sorted(edges.items()):
        text = ", ".join(f"{line} {what[line]}" for line in labels)
        lines.append(f"    {step.name.lower()} --> {target.name.lower()}: {text}")
    return "\n".join([*lines, "    decided --> [*]", "```"])


def tail(size: int, share: float, least: int) -> float:
    """The chance that at least ``least`` of ``size`` independent draws are faulty."""
    return sum(comb(size, k) * share**k * (1 - share) ** (size - k) for k in range(least, size + 1))


def chance(value: float) -> str:
    """A probability, short."""
    if value < 1e-15:
        return "< 1e-15"
    return f"{100 * value:.1f} %" if value >= 0.0005 else f"{value:.0e}"


def probabilities() -> str:
    """Chances that a sampled committee has a third, or more than two thirds, of faulty members."""
    head = " | ".join(f"{share:.0%}" for share in SHARES)
    lines = [f"| validators | tolerated | {head} |", "|---|---|" + "---|" * len(SHARES)]
    for size in SIZES:
        third, most = -(-size // 3), 2 * size // 3 + 1
        cells = [
            f"{chance(tail(size, share, third))} / {chance(tail(size, share, most))}"
            for share in SHARES
        ]
        lines.append(f"| {size} | {third - 1} | {' | '.join(cells)} |")
    return "\n".join(lines)


PARTS = {"table": table, "diagram": diagram, "probabilities": probabilities}


def generated(page: str) -> str:
    """The page with its generated parts as they should be."""
    for name, make in PARTS.items():
        begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
        before, rest = page.split(begin)
        _, after = rest.split(end, 1)
        page = f"{before}{begin}{make()}\n{end}{after}"
    return page


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args()
    page = PAGE.read_text()
    wanted = generated(page)
    if options.check:
        return int(page != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
