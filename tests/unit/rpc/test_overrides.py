"""The override arguments of eth_call: what they become, and what is wrong with them."""

import json

import pytest

from rpc.decode_overrides import MAX_ACCOUNTS, MAX_SLOTS, block_overrides, state_overrides
from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.wire import AccountOverride, BlockOverrides

ADDRESS = "0x" + "00" * 20
SLOT = "0x" + "00" * 31 + "01"
WORD = "0x" + "00" * 31 + "05"


def test_accounts():
    found = state_overrides(
        {ADDRESS: {"balance": "0x1", "nonce": 2, "code": "0x00", "stateDiff": {SLOT: WORD}}}
    )
    assert found == {bytes(20): AccountOverride(balance=1, nonce=2, code=b"\0", state_diff={1: 5})}
    assert state_overrides({ADDRESS: {"state": {}}}) == {bytes(20): AccountOverride(state={})}
    assert state_overrides({}) == {}


def test_blocks_under_both_sets_of_names():
    new = {"feeRecipient": ADDRESS, "prevRandao": "0x5", "baseFeePerGas": "0x7", "time": "0x8"}
    old = {"coinbase": ADDRESS, "random": WORD, "baseFee": "0x7", "time": "0x8"}
    expected = BlockOverrides(
        fee_recipient=bytes(20),
        prev_randao=(5).to_bytes(32, "big"),
        base_fee_per_gas=7,
        time=8,
    )
    assert block_overrides(new) == block_overrides(old) == expected


def test_their_number_is_bounded():
    accounts = {f"0x{n:040x}": {} for n in range(MAX_ACCOUNTS + 1)}
    with pytest.raises(ValueError, match="at most 1000"):
        state_overrides(accounts)
    slots = {f"0x{n:064x}": WORD for n in range(MAX_SLOTS + 1)}
    with pytest.raises(ValueError, match="more than 10000 storage slots"):
        state_overrides({ADDRESS: {"state": slots}})


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        (
            "eth_call",
            [{}, "latest", {"0x1": {"balance": "0x1"}}],
            "invalid argument 2 (state overrides): hex string has length 1, want 40 for an address",
        ),
        (
            "eth_call",
            [{}, "latest", {ADDRESS: {"state": {}, "stateDiff": {}}}],
            f"invalid argument 2 (state overrides): {ADDRESS}: both 'state' and 'stateDiff' are set",
        ),
        (
            "eth_call",
            [{}, "latest", {ADDRESS: {"movePrecompileToAddress": "0x1"}}],
            f"invalid argument 2 (state overrides): {ADDRESS}.movePrecompileToAddress: "
            "hex string has length 1, want 40 for an address",
        ),
        (
            "eth_call",
            [{}, "latest", {ADDRESS: {"stateDiff": {"0x1": "0x" + "00" * 32}}}],
            f"invalid argument 2 (state overrides): {ADDRESS}: stateDiff.0x1: "
            "hex string has length 1, want 64 for a hash",
        ),
        (
            "eth_call",
            [{}, "latest", {}, {"number": "0x1ffffffffffffffff"}],
            "invalid argument 3 (block overrides): number: hex number > 64 bits",
        ),
        (
            "eth_call",
            [{}, "latest", {}, {"withdrawals": [{}]}],
            "invalid argument 3 (block overrides): withdrawals: this field cannot be overridden here",
        ),
    ],
)
async def test_what_is_wrong_is_named(method, params, message):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    answer = json.loads(await Dispatcher(object(), Limits()).handle(body, None))
    assert answer["error"] == {"code": -32602, "message": message}
