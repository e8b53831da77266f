"""What is known to be wrong in the other engines: every entry explains differences, none hides them.

An entry names a change of the engine's adapter that mends it. A difference counts as explained only where
the engine with some of its faults mended agrees with ours in everything; any other fails the run.
"""

from dataclasses import dataclass

from tests.conformance.differential.engines import EELS, PYEVM


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`mend` is its name in the adapter of `engine`."""

    engine: str
    mend: str
    reason: str


FAULTS = (
    Fault(
        engine=PYEVM,
        mend="validity",
        reason="py-evm leaves out validity rules: a sender with code (EIP-3607), tip above fee and "
        "balance for the fee cap (EIP-1559), the largest nonce (EIP-2681), size and cost of init code "
        "(EIP-3860), the data floor on the gas limit (EIP-7623)",
    ),
    Fault(
        engine=PYEVM,
        mend="modexp",
        reason="py-evm's MODEXP answers 0 wherever the base is empty: with an exponent of zero, empty or "
        "not, it is 0^0 mod m = 1 mod m",
    ),
    Fault(
        engine=PYEVM,
        mend="origin",
        reason="py-evm takes every frame whose caller is the origin for the outermost one: with "
        "delegated code (EIP-7702) it charges init code twice and forgets which contracts the "
        "transaction created (EIP-6780)",
    ),
    Fault(
        engine=PYEVM,
        mend="collision",
        reason="py-evm creates a contract where there is storage (EIP-7610)",
    ),
    Fault(
        engine=PYEVM,
        mend="floor",
        reason="where the data floor (EIP-7623) applies and gas is refunded, py-evm's receipt has less "
        "gas than was paid for: it caps the refund by the gas used with the floor in it",
    ),
    Fault(
        engine=EELS,
        mend="chain_id",
        reason="EELS does not check the chain id of typed transactions (EIP-2930, 1559, 7702)",
    ),
    Fault(
        engine=EELS,
        mend="modexp",
        reason="EELS' MODEXP dies of an OverflowError where a length is near 2^256, before it charges "
        "the gas that nobody can have",
    ),
)


def mends(engine: str) -> list[str]:
    return [fault.mend for fault in FAULTS if fault.engine == engine]
