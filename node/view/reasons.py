"""The reason of a failed transaction, found in its call trace. Pure.

A contract that reverts because a call of it did passes on what that call returned. So the reason is where the
returned bytes come from: the innermost failed call from which they were passed on.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from node.primitives.decoding import decoder
from node.view.reverts import reverted

REVERTED = "execution reverted"
MAX_DEPTH = 1025
"""Of calls in each other (EIP-150)."""
MAX_DATA = 4096
"""Bytes of what a call returned that are passed on to the user."""

_Hex = Annotated[str, msgspec.Meta(pattern=r"^0x([0-9a-f]{2})*$")]
_Account = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{40}$")]
_Number = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{1,64}$")]


class TracedCall(msgspec.Struct, frozen=True):
    """The fields of a call in a result of `callTracer` that matter here; `to` is None for a failed creation."""

    gas: _Number
    to: _Account | None = None
    output: _Hex = "0x"
    error: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    calls: "tuple[TracedCall, ...]" = ()


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


@decoder("call trace")
def reason_in(trace: bytes) -> Reason | None:
    """The reason in a result of `callTracer`, as JSON; None for a transaction that succeeded.

    Raises DecodeError.
    """
    root = msgspec.json.decode(trace, type=TracedCall)
    if root.error is None:
        return None
    call, path = root, [root.to]
    while (inner := _cause(call)) is not None and len(path) < MAX_DEPTH:
        call = inner
        path.append(call.to)
    return Reason(
        error=call.error or "",
        text=_text(call),
        data=call.output[: 2 + 2 * MAX_DATA],
        path=tuple(path),
    )


def _cause(call: TracedCall) -> TracedCall | None:
    """The failed call that this one failed for: its last one, if its bytes were passed on."""
    if call.error != REVERTED or not call.calls:
        return None
    last = call.calls[-1]
    return last if last.error is not None and last.output == call.output else None


def _text(call: TracedCall) -> str:
    if call.error == "out of gas":
        return f"out of gas: it had {int(call.gas, 16)}"
    if call.error != REVERTED:
        return call.error or ""
    output = bytes.fromhex(call.output[2:])
    if not output:
        return "reverted without a reason"
    _, colon, text = reverted(output).message.partition(": ")
    if colon:
        return text[:MAX_DATA]
    if len(output) % 32 != 4:
        return f"reverted with {len(output)} bytes: 0x{output[:32].hex()}"
    return f"custom error 0x{output[:4].hex()} with {len(output) - 4} bytes of arguments"
