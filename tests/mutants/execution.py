"""Mistakes in the execution of transactions, and at the door: HTTP, JSON-RPC, the network."""

from tests.mutants.mistake import Mistake

EVM = ("tests/unit/execution/evm/test_evm.py", "tests/unit/execution/evm/test_calls.py")
BORDER = (
    "tests/unit/execution/evm/test_border.py",
    "tests/property/test_execution_border_model.py",
)
STATE = ("tests/unit/execution/state/test_state.py", "tests/property/test_execution_state_model.py")

EXECUTION = (
    Mistake(
        name="a-base-fee-stuck-at-its-least",
        file="node/execution/evm/fees.py",
        old="        return min(base_fee + max(rise, 1), MAX_BASE_FEE)",
        new="        return min(base_fee + rise, MAX_BASE_FEE)",
        suite=(*EVM, "tests/unit/execution/evm/test_fees.py"),
    ),
    Mistake(
        name="value-without-funds",
        file="node/execution/evm/validity.py",
        old="    cost = tx.gas * tx.max_fee_per_gas + tx.value",
        new="    cost = tx.gas * tx.max_fee_per_gas",
        suite=EVM,
    ),
    Mistake(
        name="any-chain-id",
        file="node/execution/evm/validity.py",
        old="    if tx.chain_id is not None and tx.chain_id != chain_id:",
        new="    if tx.chain_id is None and tx.chain_id != chain_id:",
        suite=(*EVM, "tests/unit/shard/test_departures.py"),
    ),
    Mistake(
        name="contracts-send-transactions",
        file="node/execution/evm/validity.py",
        old="        code\n        and delegation_of(code) is None",
        new="        not code\n        and delegation_of(code) is not None",
        suite=EVM,
    ),
    Mistake(
        name="data-below-its-floor",
        file="node/execution/evm/evm.py",
        old="        gas_used = max(used_after_refund(vm, tx.gas, frame), floor)",
        new="        gas_used = used_after_refund(vm, tx.gas, frame)",
        suite=EVM,
    ),
    Mistake(
        name="refunds-without-a-bound",
        file="node/execution/evm/evm.py",
        old="    return used - min(vm.refund, used // MAX_REFUND_QUOTIENT)",
        new="    return used - min(vm.refund, used)",
        suite=EVM,
    ),
    Mistake(
        name="destroyed-wei-vanish-uncounted",
        file="node/execution/evm/evm.py",
        old="        burned += vm.accounts.balance(address)\n",
        new="",
        suite=(*EVM, "tests/simulation/shards/test_shard_simulation.py"),
    ),
    Mistake(
        name="old-authorizations-count",
        file="node/execution/evm/evm.py",
        old="            if state.nonce(authority) != item.nonce:",
        new="            if state.nonce(authority) < item.nonce:",
        suite=EVM,
    ),
    Mistake(
        name="contracts-are-born-without-a-nonce",
        file="node/execution/evm/machine.py",
        old="        state.set_nonce(address, 1)",
        new="        state.set_nonce(address, 0)",
        suite=(*EVM, "tests/unit/shard/test_placement.py"),
    ),
    Mistake(
        name="code-of-any-size",
        file="node/execution/evm/machine.py",
        old="    if len(code) > MAX_CODE_BYTES:",
        new="    if len(code) < 0:",
        suite=EVM,
    ),
    Mistake(
        name="code-of-another-shard-runs-without-data",
        file="node/execution/evm/calls.py",
        old="        and (in_size or opcode != _CALL)",
        new="        and in_size",
        suite=BORDER,
    ),
    Mistake(
        name="calls-of-another-shard-are-empty-successes",
        file="node/shard/anchor_view.py",
        old="        return None if home == self.here else home",
        new="        return None",
        suite=("tests/unit/shard/test_border.py",),
    ),
    Mistake(
        name="payments-to-another-shard-are-refused",
        file="node/execution/evm/calls.py",
        old="        and (in_size or opcode != _CALL)\n",
        new="",
        suite=BORDER,
    ),
    Mistake(
        name="transactions-to-nothing-succeed",
        file="node/execution/evm/evm.py",
        old="        if data and not code and (reason := refused_call(vm, to, delegate)):",
        new="        if data and code and (reason := refused_call(vm, to, delegate)):",
        suite=BORDER,
    ),
    Mistake(
        name="a-delegate-is-where-its-account-is",
        file="node/execution/evm/border.py",
        old="        shard = vm.elsewhere(delegate)",
        new="        shard = vm.elsewhere(target)",
        suite=BORDER,
    ),
    Mistake(
        name="a-look-outlives-a-call",
        file="node/execution/evm/calls.py",
        old='    frame.looked_at = b""\n',
        new="",
        suite=BORDER,
    ),
    Mistake(
        name="a-balance-of-another-shard-is-zero",
        file="node/execution/evm/interpreter.py",
        old="            check_read(frame, block.argument, account)\n",
        new="",
        suite=BORDER,
    ),
    Mistake(
        name="departures-cost-what-the-cheaper-shard-asks",
        file="node/execution/evm/simulate.py",
        old="        base_fee = max(base_fee, call.credit.base_fee)",
        new="        base_fee = min(base_fee, call.credit.base_fee)",
        suite=("tests/unit/execution/evm/test_simulate.py",),
    ),
    Mistake(
        name="what-arrives-is-paid-by-nobody",
        file="node/execution/evm/simulate.py",
        old="    return state.balance(call.sender) if call.credit is None else call.credit.balance",
        new="    return state.balance(call.sender) if call.credit is None else MAX_BALANCE",
        suite=("tests/unit/execution/evm/test_simulate.py", "tests/unit/view/test_purses.py"),
    ),
    Mistake(
        name="frames-of-any-length",
        file="p2p/framing.py",
        old="                if length > limit:",
        new="                if length < 0:",
        suite=("tests/unit/p2p/test_pure.py", "tests/unit/p2p/test_hostile.py"),
    ),
    Mistake(
        name="strangers-of-any-number",
        file="p2p/strangers.py",
        old="        if len(self._scopes) >= self.places:",
        new="        if len(self._scopes) < 0:",
        suite=("tests/unit/p2p/test_inbound.py",),
    ),
    Mistake(
        name="strangers-are-members",
        file="p2p/session.py",
        old="member = expected is not None, is_member(peer)",
        new="member = expected is not None, peer is not None",
        suite=("tests/unit/p2p/test_inbound.py",),
    ),
    Mistake(
        name="json-of-any-depth",
        file="rpc/nesting.py",
        old='    return brackets.count(b"[") > MAX_DEPTH',
        new="    return False",
        suite=(
            "tests/unit/rpc/test_fuzz.py",
            "tests/unit/rpc/test_http.py",
            "tests/unit/rpc/test_dispatch.py",
        ),
    ),
)
