"""The error texts of reverted calls: go-ethereum's words, and the errors of MESSENGER by name. Pure."""

from collections.abc import Callable

from node.execution.tracers.trace_calls import revert_reason
from node.primitives.basics import keccak256
from rpc.errors import ExecutionReverted


def _under_way(_: int) -> str:
    return (
        "too much is under way to that shard: send again when some of it has arrived (atoll_lanes)"
    )


_ERRORS: dict[str, Callable[..., str]] = {
    "NotRemote(address)": lambda _: "the account lives on this shard: call it as any other",
    "GasTooHigh(uint256,uint256)": lambda gas, limit: (
        f"a message carries at most {limit} gas for its call and as much for its reply: ask for less"
    ),
    "Frozen(uint256)": lambda shard: (
        f"shard {shard} was proven to have forked and makes no more blocks: nothing can be sent there"
    ),
    "LaneFull(uint256)": _under_way,
    "ShareUsed(uint256)": _under_way,
    "Underpaid(uint256)": lambda required: (
        f"the gas of the message costs {required} wei where it goes: call `send` with that value at least "
        "(MESSENGER.priceTo says what a unit of gas costs)"
    ),
}
_BY_SELECTOR = {keccak256(signature.encode())[:4]: signature for signature in _ERRORS}


def reverted(output: bytes) -> ExecutionReverted:
    """The error for a call that reverted with `output`. Contracts pass on what MESSENGER told them."""
    return ExecutionReverted(output, _refusal(output) or revert_reason(output))


def _refusal(output: bytes) -> str | None:
    """Why `MESSENGER.send` reverts and what to do (docs/messages.md); None where it is not its error."""
    signature = _BY_SELECTOR.get(output[:4])
    if signature is None:
        return None
    name, _, kinds = signature[:-1].partition("(")
    if len(output) != 4 + 32 * len(kinds.split(",")):
        return None
    numbers = [int.from_bytes(output[i : i + 32], "big") for i in range(4, len(output), 32)]
    shown = [
        f"0x{number:040x}" if kind == "address" else str(number)
        for kind, number in zip(kinds.split(","), numbers, strict=True)
    ]
    return f"{name}({', '.join(shown)}): {_ERRORS[signature](*numbers)}"
