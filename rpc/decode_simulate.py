"""The payload of `eth_simulateV1`: JSON to `rpc.wire.SimulateRequest`. Raises ValueError as `rpc.decode`."""

from rpc.decode import array, as_object, boolean, call_request, member, optional
from rpc.decode_overrides import block_overrides, state_overrides
from rpc.encoding import json_type
from rpc.wire import BlockOverrides, Overrides, SimulateBlock, SimulateRequest

MAX_CALLS = 5_000  # of all blocks
MAX_LISTED = 100_000  # longer lists are not even counted


def simulate_request(value: object) -> SimulateRequest:
    """The object with `blockStateCalls`. How many there may be is not checked here."""
    members = as_object(value)
    blocks = members.get("blockStateCalls")
    if not isinstance(blocks, list):
        raise ValueError(f"blockStateCalls: expected an array, got {json_type(blocks)}")
    if not blocks:
        raise ValueError("empty input: blockStateCalls has no block")
    return SimulateRequest(
        blocks=member("blockStateCalls", lambda v: array(v, _block, MAX_LISTED), blocks),
        validation=optional(members, "validation", boolean) or False,
        trace_transfers=optional(members, "traceTransfers", boolean) or False,
        full_transactions=optional(members, "returnFullTransactions", boolean) or False,
    )


def _block(value: object) -> SimulateBlock:
    members = as_object(value)
    return SimulateBlock(
        calls=optional(members, "calls", lambda v: array(v, call_request, MAX_CALLS)) or (),
        overrides=Overrides(
            accounts=optional(members, "stateOverrides", state_overrides) or {},
            block=optional(members, "blockOverrides", block_overrides) or BlockOverrides(),
        ),
    )
