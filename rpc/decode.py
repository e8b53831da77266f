"""JSON arguments to the values of `rpc.wire`.

Every decoder takes a decoded JSON value and returns the value, or raises ValueError with a reason that
names the member (`topics[1]: ...`). Unknown members of objects are ignored, as every client does,
because wallets send fields of their own.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import msgspec

from rpc import wire
from rpc.encoding import (
    json_type,
    parse_address,
    parse_data,
    parse_hash,
    parse_quantity,
    parse_storage_slot,
)
from rpc.nesting import too_deep

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)

MAX_TOPICS = 4
MAX_FILTER_ALTERNATIVES = 1000  # addresses, or values for one topic position; geth's number
MAX_ACCESS_LIST = 10_000  # accounts and keys together; a block cannot hold more
MAX_PERCENTILES = 100
MAX_PROOF_SLOTS = 1024  # of one eth_getProof; geth's number
MESSAGE_EVENTS = ("sent", "finalised", "delivered")

_TAGS: dict[str, wire.BlockTag] = {
    "latest": "latest",
    "pending": "pending",
    "safe": "safe",
    "finalized": "finalized",
    "earliest": "earliest",
}


def boolean(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"expected a boolean, got {json_type(value)}")
    return value


def uint64(value: object) -> int:
    """A quantity below 2**64."""
    return parse_quantity(value, bits=64)


def count(value: object) -> int:
    """The block count of `eth_feeHistory`, for which clients also send decimal strings."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return uint64(value)


def block_number(value: object) -> wire.BlockTag | int:
    """A tag or a number; hashes are not accepted."""
    if isinstance(value, str):
        tag = _TAGS.get(value)
        if tag is not None:
            return tag
    elif type(value) is not int:
        raise ValueError(f"expected a block number or tag, got {json_type(value)}")
    number = parse_quantity(value)
    if number >> 63:
        raise ValueError("block number larger than int64")
    return number


def block_ref(value: object) -> wire.BlockRef:
    """A tag, a number, a 32-byte hash, or the object of EIP-1898."""
    if isinstance(value, str) and len(value) == 66:
        return wire.BlockHash(parse_hash(value))
    if not isinstance(value, dict):
        return block_number(value)
    by_hash, by_number = value.get("blockHash"), value.get("blockNumber")
    if by_hash is not None and by_number is not None:
        raise ValueError("cannot specify both blockHash and blockNumber, choose one or the other")
    if by_hash is not None:
        named = wire.BlockHash(member("blockHash", parse_hash, by_hash))
        optional(value, "requireCanonical", boolean)  # all blocks are canonical
        return named
    if by_number is None:
        raise ValueError("either blockHash or blockNumber is needed")
    if value.get("requireCanonical") is not None:
        raise ValueError("requireCanonical goes with blockHash only (EIP-1898)")
    return member("blockNumber", block_number, by_number)


def call_request(value: object) -> wire.CallRequest:
    """A transaction object."""
    members = as_object(value)
    if members.get("blobVersionedHashes"):
        raise ValueError("blobVersionedHashes: this network has no blob transactions")
    gas_price = optional(members, "gasPrice", parse_quantity)
    max_fee = optional(members, "maxFeePerGas", parse_quantity)
    max_priority_fee = optional(members, "maxPriorityFeePerGas", parse_quantity)
    if gas_price is not None and (max_fee is not None or max_priority_fee is not None):
        raise ValueError("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    if max_fee is not None and max_priority_fee is not None and max_fee < max_priority_fee:
        raise ValueError(f"maxFeePerGas ({max_fee}) < maxPriorityFeePerGas ({max_priority_fee})")
    payload = optional(members, "input", parse_data)
    older = optional(members, "data", parse_data)
    if payload is not None and older is not None and payload != older:
        raise ValueError(
            'both "data" and "input" are set and not equal. '
            'Please use "input" to pass transaction call data'
        )
    return wire.CallRequest(
        from_=optional(members, "from", parse_address),
        to=optional(members, "to", parse_address),
        gas=optional(members, "gas", uint64),
        gas_price=gas_price,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=max_priority_fee,
        value=optional(members, "value", parse_quantity),
        data=payload if payload is not None else older or b"",
        nonce=optional(members, "nonce", uint64),
        access_list=optional(members, "accessList", access_list),
        authorization_list=optional(members, "authorizationList", authorization_list),
        type=optional(members, "type", _transaction_type),
        chain_id=optional(members, "chainId", parse_quantity),
    )


def access_list(value: object) -> tuple[wire.AccessListEntry, ...]:
    """An EIP-2930 access list."""
    if isinstance(value, list):
        keys = (row.get("storageKeys") for row in value if isinstance(row, dict))
        total = len(value) + sum(len(each) for each in keys if isinstance(each, list))
        if total > MAX_ACCESS_LIST:
            raise ValueError(f"{total} accounts and keys, at most {MAX_ACCESS_LIST} are allowed")
    return array(value, _access_list_entry, MAX_ACCESS_LIST)


def authorization_list(value: object) -> tuple[wire.SetCodeAuthorization, ...]:
    """An EIP-7702 authorization list."""
    return array(value, _authorization, MAX_ACCESS_LIST)


def log_filter(value: object) -> wire.LogFilter:
    """The object of `eth_getLogs`."""
    members = as_object(value)
    block_hash = optional(members, "blockHash", parse_hash)
    first = optional(members, "fromBlock", block_number)
    last = optional(members, "toBlock", block_number)
    if block_hash is not None and (first is not None or last is not None):
        raise ValueError(
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
        )
    if isinstance(first, int) and isinstance(last, int) and first > last:
        raise ValueError(f"invalid block range params: fromBlock {first} is after toBlock {last}")
    return wire.LogFilter(
        from_block="latest" if first is None else first,
        to_block="latest" if last is None else last,
        block_hash=block_hash,
        addresses=optional(members, "address", _addresses) or (),
        topics=optional(members, "topics", _topics) or (),
    )


def message_filter(value: object) -> wire.MessageFilter:
    """The object of a subscription to messages. Unlike elsewhere an unknown member is a mistake: a filter
    that is ignored would be found out late."""
    members = as_object(value)
    for name in members:
        if name not in ("id", "address", "shard", "events"):
            raise ValueError(f"there is no filter {name!r}; there are id, address, shard, events")
    return wire.MessageFilter(
        ids=optional(members, "id", _any_of(parse_hash)),
        addresses=optional(members, "address", _any_of(parse_address)),
        shards=optional(members, "shard", _any_of(_shard)),
        events=optional(members, "events", _any_of(_message_event)),
    )


def percentiles(value: object) -> tuple[float, ...]:
    """Rising numbers between 0 and 100; null counts as none."""
    if value is None:
        return ()
    numbers = array(value, _percentile, MAX_PERCENTILES)
    for i in range(1, len(numbers)):
        if numbers[i - 1] >= numbers[i]:
            raise ValueError(f"[{i}]: percentiles must rise: {numbers[i - 1]} >= {numbers[i]}")
    return numbers


def storage_slots(value: object) -> tuple[int, ...]:
    """The storage keys of `eth_getProof`."""
    return array(value, parse_storage_slot, MAX_PROOF_SLOTS)


def storage_requests(value: object) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    """The object of `eth_getStorageValues`: slots by address."""
    members = as_object(value)
    requests = tuple(
        (parse_address(key), member(key, storage_slots, slots)) for key, slots in members.items()
    )
    if not any(slots for _, slots in requests):
        raise ValueError("empty request")
    if sum(len(slots) for _, slots in requests) > MAX_PROOF_SLOTS:
        raise ValueError(f"more than {MAX_PROOF_SLOTS} slots")
    return requests


def typed_data(value: object) -> dict[str, Any]:
    """EIP-712 typed data: the object, or its JSON text as MetaMask sends it."""
    if isinstance(value, str):
        text = value.encode("utf-8", "replace")
        try:
            value = None if too_deep(text) else msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise ValueError("typed data must be an object or its JSON text") from None
    members = as_object(value)
    for name, kind in (("types", dict), ("primaryType", str), ("domain", dict), ("message", dict)):
        if not isinstance(members.get(name), kind):
            raise ValueError(f"{name} is missing or malformed")
    return members


def filter_id(value: object) -> int:
    """The id of a filter or a subscription."""
    return parse_quantity(value, bits=128)


def _percentile(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {json_type(value)}")
    if not 0 <= value <= 100:
        raise ValueError(f"percentile {value} is not between 0 and 100")
    return float(value)


def _transaction_type(value: object) -> int:
    return parse_quantity(value, bits=8)


def _access_list_entry(value: object) -> wire.AccessListEntry:
    members = as_object(value)
    keys = members.get("storageKeys")
    return wire.AccessListEntry(
        address=required(members, "address", parse_address),
        storage_keys=()
        if keys is None
        else member("storageKeys", lambda v: array(v, parse_hash, MAX_ACCESS_LIST), keys),
    )


def _authorization(value: object) -> wire.SetCodeAuthorization:
    members = as_object(value)
    # "v" is what some signers call the parity.
    parity = "yParity" if members.get("yParity") is not None else "v"
    return wire.SetCodeAuthorization(
        chain_id=required(members, "chainId", parse_quantity),
        address=required(members, "address", parse_address),
        nonce=required(members, "nonce", uint64),
        y_parity=required(members, parity, _transaction_type),
        r=required(members, "r", parse_quantity),
        s=required(members, "s", parse_quantity),
    )


def _any_of(item: Callable[[object], H]) -> Callable[[object], frozenset[H]]:
    """One value or an array of them."""

    def decode(value: object) -> frozenset[H]:
        if isinstance(value, list):
            return frozenset(array(value, item, MAX_FILTER_ALTERNATIVES))
        return frozenset((item(value),))

    return decode


def _shard(value: object) -> int:
    """Shard ids are plain numbers; a quantity is taken too."""
    if isinstance(value, bool) or not isinstance(value, int):
        return parse_quantity(value, bits=16)
    if not 0 <= value <= 0xFFFF:
        raise ValueError(f"there is no shard {value}")
    return value


def _message_event(value: object) -> str:
    if value not in MESSAGE_EVENTS:
        raise ValueError(f"no such event; there are {', '.join(MESSAGE_EVENTS)}")
    return str(value)


def _addresses(value: object) -> tuple[bytes, ...]:
    if isinstance(value, list):
        return array(value, parse_address, MAX_FILTER_ALTERNATIVES)
    return (parse_address(value),)


def _topics(value: object) -> tuple[tuple[bytes, ...] | None, ...]:
    return array(value, _topic, MAX_TOPICS)


def _topic(value: object) -> tuple[bytes, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        return (parse_hash(value),)
    if None in value:  # "this or anything" is anything
        return None
    return array(value, parse_hash, MAX_FILTER_ALTERNATIVES) or None


def as_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {json_type(value)}")
    return value


def array(value: object, item: Callable[[object], T], limit: int) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected an array, got {json_type(value)}")
    if len(value) > limit:
        raise ValueError(f"array of {len(value)} items, at most {limit} are allowed")
    items = []
    for i, element in enumerate(value):
        try:
            items.append(item(element))
        except ValueError as error:
            raise ValueError(_below(f"[{i}]", error)) from None
    return tuple(items)


def member(name: str, decode: Callable[[object], T], value: object) -> T:
    try:
        return decode(value)
    except ValueError as error:
        raise ValueError(_below(name, error)) from None


def optional(members: dict[str, Any], name: str, decode: Callable[[object], T]) -> T | None:
    value = members.get(name)
    return None if value is None else member(name, decode, value)


def required(members: dict[str, Any], name: str, decode: Callable[[object], T]) -> T:
    value = members.get(name)
    if value is None:
        raise ValueError(f"{name} is missing")
    return member(name, decode, value)


def _below(path: str, error: ValueError) -> str:
    """Puts `path` before the path an inner decoder may have put: `topics` + `[1]: why`, or
    `accessList[0]` + `address: why`."""
    why = str(error)
    if why.startswith("["):
        return path + why
    head, colon, _ = why.partition(": ")
    inner = colon and head.replace("[", "").replace("]", "").isalnum()
    return f"{path}.{why}" if inner else f"{path}: {why}"
