"""The reason of a failed transaction in one line, for people."""

from collections.abc import Callable
from typing import Any

from node.cluster.errors import RequestFailed


def why_it_failed(ask: Callable[[str, str], Any], tx_hash: str) -> str:
    """The reason and the account that it comes from; if no node can tell it, that is said instead. `ask` calls
    a method of the JSON-RPC and raises RequestFailed.
    """
    try:
        found = ask("atoll_reason", tx_hash)
    except RequestFailed as error:
        return f"its trace cannot be had: {error}"
    if found is None:
        return "it has no reason: it succeeded"
    at = found["at"] or "the new contract"
    callers = [account or "the new contract" for account in found["path"][:-1]]
    through = f", called by {' <- '.join(reversed(callers))}" if callers else ""
    return f"{found['reason']} (in {at}{through})"
