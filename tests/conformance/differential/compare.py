"""Whether engines agree on a case, and if not, why."""

from dataclasses import dataclass
from typing import Any

from tests.conformance.differential.engines import ATOLL, EELS, Engines
from tests.conformance.differential.faults import mends

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`engine` differs from ours in what `text` says. `faults` of that engine explain it, if any."""

    engine: str
    text: str
    faults: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What differs, without the numbers: a shrunk case must differ in the same."""
        return self.text.split()[0]


def essence(answer: Answer) -> Any:
    """What must agree: validity, status, gas, logs, roots; not the words of errors."""
    if "crash" in answer:
        return answer["crash"]
    outcomes = [
        "invalid" if "invalid" in o else (o["status"], o["gas"], o["logs"])
        for o in answer["outcomes"]
    ]
    return outcomes, answer["roots"]


def describe(ours: Answer, theirs: Answer) -> str:
    """The first thing in which two answers differ."""
    for who, answer in (("ours", ours), ("theirs", theirs)):
        if "crash" in answer:
            return f"{who} crashed: {answer['crash'].strip().splitlines()[-1]}"
    for index, (a, b) in enumerate(zip(ours["outcomes"], theirs["outcomes"], strict=True)):
        one, two = essence({"outcomes": [a], "roots": []}), essence({"outcomes": [b], "roots": []})
        if one != two:
            return f"transaction {index}: ours {a}, theirs {b}"
    for index, (x, y) in enumerate(zip(ours["roots"], theirs["roots"], strict=True)):
        if x != y:
            return f"state root {index}: ours {x}, theirs {y}"
    return "nothing"


def differences(engines: Engines, case: dict[str, Any]) -> tuple[Answer, list[Difference]]:
    """Our answer, and every engine that does not give it."""
    answers = engines.run(case)
    ours = answers[ATOLL]
    found = []
    for name, answer in answers.items():
        if name != ATOLL and essence(answer) != essence(ours):
            faults = explain(engines, case, ours, name)
            found.append(Difference(engine=name, text=describe(ours, answer), faults=faults))
    if not found and "crash" in ours:
        found.append(Difference(engine=ATOLL, text=ours["crash"]))
    return ours, found


def explain(engines: Engines, case: dict[str, Any], ours: Answer, engine: str) -> tuple[str, ...]:
    """The fewest of an engine's faults without which it agrees with us; none where it never does."""

    def agrees(mended: list[str]) -> bool:
        answer = engines[engine].run({**case, "mend": mended})
        return bool(essence(answer) == essence(ours))

    mended = mends(engine)
    if not agrees(mended):
        return ()
    for name in list(mended):
        fewer = [other for other in mended if other != name]
        if agrees(fewer):
            mended = fewer
    return tuple(mended)


def state_difference(engines: Engines, case: dict[str, Any], engine: str) -> list[str]:
    """The accounts and slots in which an engine's post state differs from ours, a line each.

    What there is to look at comes from EELS, which can list its state, else from the case alone.
    """
    wanted: dict[str, list[str]] = {a: list(v["storage"]) for a, v in case["accounts"].items()}
    wanted.setdefault(case["block"]["coinbase"], [])
    if EELS in engines:
        full = engines[EELS].run({**case, "dump": True}).get("accounts", {})
        for address, account in full.items():
            slots = wanted.setdefault(address, [])
            slots += [slot for slot in account["storage"] if slot not in slots]
    request = {**case, "dump": wanted, "mend": mends(engine)}
    ours = engines[ATOLL].run(request).get("accounts", {})
    theirs = engines[engine].run(request).get("accounts", {})
    lines = []
    for address in sorted({*ours, *theirs}):
        a, b = ours.get(address), theirs.get(address)
        if a != b:
            lines.append(f"  0x{address}: ours {a}, theirs {b}")
    return lines
