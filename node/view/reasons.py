"""The reason of a failed transaction, found in its call trace. Pure.

A contract that reverts because a call of it did passes on what that call returned. So the reason is where the
returned bytes come from: the innermost failed call from which they were passed on.
"""

from dataclasses import dataclass
from typing import Any

from node.view.reverts import reverted
from rpc.errors import RpcError

REVERTED = "execution reverted"
MAX_DEPTH = 1024
"""Of calls in each other (EIP-150)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """`error` is go-ethereum's word for it, `text` says it to people. `data` is what the call returned. `path`:
    the accounts whose code ran, from the transaction's recipient to the one that failed; None is a creation.
    """

    error: str
    text: str
    data: str
    path: tuple[str | None, ...]

    def document(self) -> dict[str, Any]:
        """JSON: `at` is the account that failed."""
        return {
            "error": self.error,
            "reason": self.text,
            "data": self.data,
            "at": self.path[-1],
            "path": list(self.path),
        }


def reason_of(root: dict[str, Any]) -> Reason | None:
    """The reason in a result of `callTracer`; None for a transaction that succeeded."""
    if "error" not in root:
        return None
    call, path = root, [root.get("to")]
    while (inner := _cause(call)) is not None and len(path) < MAX_DEPTH:
        call = inner
        path.append(call.get("to"))
    return Reason(
        error=call["error"],
        text=_text(call),
        data=call.get("output", "0x"),
        path=tuple(path),
    )


def _cause(call: dict[str, Any]) -> dict[str, Any] | None:
    """The failed call that this one failed for: its last one, if its bytes were passed on."""
    if call["error"] != REVERTED or not call.get("calls"):
        return None
    last: dict[str, Any] = call["calls"][-1]
    passed_on = last.get("output", "0x") == call.get("output", "0x")
    return last if "error" in last and passed_on else None


def _text(call: dict[str, Any]) -> str:
    if call["error"] != REVERTED:
        gas = int(call["gas"], 16)
        return f"out of gas: it had {gas}" if call["error"] == "out of gas" else str(call["error"])
    output = bytes.fromhex(call.get("output", "0x")[2:])
    if not output:
        return "reverted without a reason"
    told: RpcError = reverted(output)
    _, colon, text = told.message.partition(": ")
    if colon:
        return text
    if len(output) % 32 != 4:
        return f"reverted with {len(output)} bytes: 0x{output[:32].hex()}"
    return f"custom error 0x{output[:4].hex()} with {len(output) - 4} bytes of arguments"
