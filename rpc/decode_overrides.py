"""The override arguments of `eth_call` and its relatives: JSON to `rpc.wire.Overrides`.

As geth has them (`internal/ethapi/override`): an object from address to account, and an object of block
fields. Raises ValueError as `rpc.decode` does.
"""

from typing import Any

from rpc.decode import as_object, member, optional, uint64
from rpc.encoding import parse_address, parse_data, parse_hash, parse_quantity
from rpc.wire import AccountOverride, BlockOverrides

MAX_ACCOUNTS = 1_000
MAX_SLOTS = 10_000  # of all accounts together
_BLOCK_FIELDS = {
    "number": ("number", uint64),
    "time": ("time", uint64),
    "gasLimit": ("gas_limit", uint64),
    "feeRecipient": ("fee_recipient", parse_address),
    "coinbase": ("fee_recipient", parse_address),
    "prevRandao": ("prev_randao", lambda value: _word(value)),
    "random": ("prev_randao", lambda value: _word(value)),
    "baseFeePerGas": ("base_fee_per_gas", parse_quantity),
    "baseFee": ("base_fee_per_gas", parse_quantity),
    "blobBaseFee": ("blob_base_fee", parse_quantity),
}
_UNUSED = ("difficulty", "withdrawals", "beaconRoot", "parentBeaconBlockRoot")


def state_overrides(value: object) -> dict[bytes, AccountOverride]:
    """Accounts by address."""
    members = as_object(value)
    if len(members) > MAX_ACCOUNTS:
        raise ValueError(f"{len(members)} accounts, at most {MAX_ACCOUNTS} are allowed")
    accounts: dict[bytes, AccountOverride] = {}
    slots = 0
    for key, item in members.items():
        address = parse_address(key)
        if address in accounts:
            raise ValueError(f"{key}: the account is there twice")
        accounts[address] = override = member(key, _account, item)
        slots += len(override.state or override.state_diff or ())
        if slots > MAX_SLOTS:
            raise ValueError(f"more than {MAX_SLOTS} storage slots")
    return accounts


def block_overrides(value: object) -> BlockOverrides:
    """Fields of the block, under the specification's names or the older ones of geth."""
    members = as_object(value)
    fields: dict[str, Any] = {}
    for name, item in members.items():
        known = _BLOCK_FIELDS.get(name)
        if known is None:
            if name in _UNUSED and item not in (None, []):
                raise ValueError(f"{name}: this field cannot be overridden here")
        elif item is not None:
            field, decode = known
            fields[field] = member(name, decode, item)
    return BlockOverrides(**fields)


def _account(value: object) -> AccountOverride:
    members = as_object(value)
    state = optional(members, "state", _storage)
    state_diff = optional(members, "stateDiff", _storage)
    if state is not None and state_diff is not None:
        raise ValueError("both 'state' and 'stateDiff' are set")
    return AccountOverride(
        balance=optional(members, "balance", parse_quantity),
        nonce=optional(members, "nonce", uint64),
        code=optional(members, "code", parse_data),
        state=state,
        state_diff=state_diff,
        moved_to=optional(members, "movePrecompileToAddress", parse_address),
    )


def _storage(value: object) -> dict[int, int]:
    members = as_object(value)
    return {
        _slot(slot): member(slot, lambda v: int.from_bytes(parse_hash(v), "big"), word)
        for slot, word in members.items()
    }


def _slot(key: str) -> int:
    return member(key, lambda v: int.from_bytes(parse_hash(v), "big"), key)


def _word(value: object) -> bytes:
    """A hash, or a number: the specification calls prevRandao a uint256, geth a hash."""
    if isinstance(value, str) and len(value) == 66:
        return parse_hash(value)
    return parse_quantity(value).to_bytes(32, "big")
