"""Whether a call to simulate, as it came from another node, is one: sizes and ranges."""

from node.query.port import AccountPatch, BlockPatch, CallSpec, SimulationSpec, TraceSpec

MAX_HEIGHT = 1 << 62
MAX_ACCESS_ENTRIES = 10_000
MAX_PATCHES = 1_000
MAX_PATCHED_SLOTS = 10_000
MAX_AUTHORIZATIONS = 1_000
MAX_BLOCKS = 256
MAX_CALLS = 5_000
MAX_TRACE_MILLISECONDS = 20_000
TRACERS = frozenset({"", "callTracer", "prestateTracer", "4byteTracer", "noopTracer"})


def check_spec(spec: CallSpec) -> None:
    """Raise ValueError where a call to simulate is none."""
    if len(spec.sender) != 20 or (spec.to is not None and len(spec.to) != 20):
        raise ValueError("call: an address has 20 bytes")
    if len(spec.value) > 32 or len(spec.gas_price) > 32:
        raise ValueError("call: an amount has at most 32 bytes")
    if not 0 <= spec.gas <= MAX_HEIGHT:
        raise ValueError("call: gas is out of range")
    if sum(1 + len(keys) for _, keys in spec.access_list) > MAX_ACCESS_ENTRIES:
        raise ValueError(f"call: the access list has more than {MAX_ACCESS_ENTRIES} entries")
    for address, keys in spec.access_list:
        if len(address) != 20 or any(len(key) != 32 for key in keys):
            raise ValueError("call: the access list is malformed")
    if len(spec.authorizations) > MAX_AUTHORIZATIONS:
        raise ValueError(f"call: more than {MAX_AUTHORIZATIONS} authorizations")
    for item in spec.authorizations:
        sizes = max(len(item.chain_id), len(item.r), len(item.s))
        if len(item.address) != 20 or sizes > 32 or not 0 <= item.y_parity < 256:
            raise ValueError("call: an authorization is malformed")
        if not 0 <= item.nonce < 1 << 64:
            raise ValueError("call: an authorization is malformed")
    _check_overrides(spec.accounts, spec.block)


def check_simulation(spec: SimulationSpec) -> None:
    """Raise ValueError where blocks to simulate are none."""
    if len(spec.blocks) > MAX_BLOCKS or sum(len(b.calls) for b in spec.blocks) > MAX_CALLS:
        raise ValueError(f"simulation: at most {MAX_BLOCKS} blocks and {MAX_CALLS} calls")
    if spec.beacon is not None and not 0 <= spec.beacon <= MAX_HEIGHT:
        raise ValueError("simulation: a height is out of range")
    if sum(len(p.storage) for b in spec.blocks for p in b.accounts) > MAX_PATCHED_SLOTS:
        raise ValueError("simulation: too many overrides")
    _check_overrides(spec.guests, None)
    for block in spec.blocks:
        _check_overrides(block.accounts, block.block)
        for call in block.calls:
            check_spec(call.call)
            if call.type not in (0, 1, 2, 4) or len(call.tip) > 32:
                raise ValueError("simulation: a call is malformed")
            if any(n is not None and not 0 <= n < 1 << 64 for n in (call.gas, call.nonce)):
                raise ValueError("simulation: a call is malformed")


def check_trace(trace: TraceSpec) -> None:
    """Raise ValueError where the way to trace is none."""
    if trace.tracer not in TRACERS:
        raise ValueError("trace: there is no such tracer")
    if not 0 < trace.milliseconds <= MAX_TRACE_MILLISECONDS or not 0 <= trace.limit <= MAX_HEIGHT:
        raise ValueError("trace: an option is out of range")


def _check_overrides(accounts: list[AccountPatch], block: BlockPatch | None) -> None:
    slots = sum(len(patch.storage) for patch in accounts)
    if len(accounts) > MAX_PATCHES or slots > MAX_PATCHED_SLOTS:
        raise ValueError("call: too many overrides")
    for patch in accounts:
        words = [word for row in patch.storage for word in row]
        if len(patch.address) != 20 or any(len(word) != 32 for word in words):
            raise ValueError("call: a state override is malformed")
        if patch.moved_to is not None and len(patch.moved_to) != 20:
            raise ValueError("call: a state override is malformed")
        if len(patch.balance or b"") > 32 or not 0 <= (patch.nonce or 0) < 1 << 64:
            raise ValueError("call: a state override is malformed")
    if block is not None:
        numbers = (block.number, block.time, block.gas_limit)
        if any(n is not None and not 0 <= n < 1 << 64 for n in numbers):
            raise ValueError("call: a block override is malformed")
        if len(block.fee_recipient or bytes(20)) != 20 or len(block.prev_randao or bytes(32)) != 32:
            raise ValueError("call: a block override is malformed")
        if max(len(block.base_fee or b""), len(block.blob_base_fee or b"")) > 32:
            raise ValueError("call: a block override is malformed")
