"""The outcome of each case of each suite, and those that are refused or fail on a network of shards."""

from dataclasses import dataclass, field

REFUSED = "is not supported"

_RULE = "a rule that all validators check in every block, from the genesis on"
_PROPOSER = "the fee recipient is the validator that proposes a block"

EXPECTED: dict[str, str] = {
    "setNextBlockBaseFeePerGas": _RULE,
    "setMinGasPrice": _RULE,
    "setPrevRandao": _RULE,
    "setBlockGasLimit": _RULE,
    "setCoinbase": _PROPOSER,
    "setBlockTimestampInterval, removeBlockTimestampInterval": "validators' clocks set the time of blocks",
    "setRpcUrl": "no other chain is forked",
    "dumpState, loadState": "a state is under validators' signatures; `atoll dump` has the whole network",
}
"""Case -> why it is refused, or fails, where a chain is many validators of many shards."""


@dataclass(slots=True)
class Outcomes:
    """Errors by node, suite and case; None where it passed."""

    noted: dict[tuple[str, str], dict[str, str | None]] = field(default_factory=dict)

    def note(self, node: str, suite: str, case: str, error: str | None) -> None:
        self.noted.setdefault((node, suite), {})[case] = error

    def check(self, node: str, suite: str, *, least: int) -> None:
        """Assert that so many cases ran, and that those which are not expected to pass are the others, exactly.
        Of anvil nothing is asked."""
        cases = self.noted.get((node, suite), {})
        assert len(cases) >= least, f"{suite} on {node}: only {sorted(cases)} ran"
        if node == "atoll":
            wrong = {case: error for case, error in cases.items() if error is not None}
            assert wrong.keys() == EXPECTED.keys() & cases.keys(), wrong

    def lines(self) -> list[str]:
        """The table, empty where nothing ran."""
        if not self.noted:
            return []
        lines = [f"{'suite':<24}{'node':<8}{'passed':>8}{'refused':>9}{'failed':>8}"]
        for (node, suite), cases in sorted(self.noted.items(), key=lambda item: item[0][::-1]):
            errors = [error for error in cases.values() if error is not None]
            refused = sum(REFUSED in error for error in errors)
            passed, failed = len(cases) - len(errors), len(errors) - refused
            lines.append(f"{suite:<24}{node:<8}{passed:8}{refused:9}{failed:8}")
        lines += [
            f"{node}, {suite}, {case}: {EXPECTED.get(case, error)}"
            if node == "atoll"
            else f"{node}, {suite}, {case}: {error.splitlines()[0][:100] if error else error}"
            for (node, suite), cases in sorted(self.noted.items())
            for case, error in cases.items()
            if error is not None
        ]
        return lines
