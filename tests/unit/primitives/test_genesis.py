"""The genesis file: what it accepts, what it refuses and how it says so, what its hash covers."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.primitives.basics import keccak256
from node.primitives.errors import UserError
from node.primitives.genesis import (
    Genesis,
    GenesisContract,
    GenesisValidator,
    Params,
    encode_genesis,
    load_genesis,
    parse_address,
    shard_tag,
)
from node.primitives.placement import home_by_range

ALICE = "0x" + "Aa" * 20
BOB = "0x" + "bb" * 20
ETHER = 10**18


def at_home(n: int) -> str:
    """An address of validator `n`, at home on its shard of two."""
    candidates = (f"0x{n * 1000 + k:040x}" for k in range(1000))
    return next(a for a in candidates if home_by_range(parse_address(a), 2) == n % 2)


def validator(n: int, **changes: Any) -> GenesisValidator:
    values: dict[str, Any] = {
        "name": f"node-{n}",
        "address": at_home(n),
        "peer_id": f"peer-{n}",
        "shard": n % 2,
        "stake": 32 * ETHER,
        "beacon": n < 2,
    }
    return GenesisValidator(**values | changes)


def genesis(**changes: Any) -> Genesis:
    values: dict[str, Any] = {
        "chain_id": 1337,
        "timestamp": 1_800_000_000,
        "shards": 2,
        "validators": [validator(n) for n in range(4)],
        "alloc": {ALICE: 10**6 * ETHER, BOB: 2**128 - 1},
    }
    return Genesis(**values | changes)


def test_committees_and_balances() -> None:
    checked = genesis().check()
    assert [v.name for v in checked.committee(1)] == ["node-1", "node-3"]
    assert [v.name for v in checked.beacon_committee()] == ["node-0", "node-1"]
    assert checked.balances() == {b"\xaa" * 20: 10**6 * ETHER, b"\xbb" * 20: 2**128 - 1}
    assert list(checked.shard_ids()) == [0, 1]
    assert shard_tag(12) == b"shard/12"


def test_an_account_may_begin_with_code_nonce_and_storage(tmp_path: Path) -> None:
    contract = GenesisContract(
        code="0x5f", nonce=3, storage={"0x0": "0x2a", "0x" + "f" * 64: "0x1"}
    )
    checked = genesis(contracts={ALICE: contract}).check()
    assert checked.accounts() == {b"\xaa" * 20: contract}
    assert (contract.code_bytes(), contract.words()) == (b"\x5f", {0: 42, 2**256 - 1: 1})
    path = tmp_path / "genesis.json"
    path.write_bytes(encode_genesis(checked))
    assert load_genesis(path) == checked
    assert checked.hash != genesis().hash


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code": "5f"}, "code must be 0x"),
        ({"code": "0x5"}, "code must be 0x"),
        ({"code": "0x" + "00" * 24_577}, "at most 24576 bytes"),
        ({"nonce": -1}, "nonce must be"),
        ({"nonce": 0, "storage": {"0x0": "0x1"}}, "storage needs code or a nonce"),
        ({"storage": {"0": "0x1"}}, "'0' of its storage"),
        ({"storage": {"0x0": "0x" + "1" * 65}}, "of its storage"),
        ({"storage": {"0x0": "0x1", "0x00": "0x1"}}, "is there twice"),
    ],
)
def test_what_no_account_can_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        genesis(contracts={ALICE: GenesisContract(**changes)}).check()
    assert ALICE in str(raised.value)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    path.write_bytes(encode_genesis(genesis()))
    loaded = load_genesis(path)
    assert loaded == genesis()
    assert loaded.hash == genesis().hash
    assert path.read_bytes().endswith(b"}\n")


def test_the_hash_is_of_canonical_json() -> None:
    compact = msgspec.json.encode(genesis(alloc={BOB: 1, ALICE: 2}), order="deterministic")
    assert b" " not in compact
    assert compact.index(ALICE.encode()) < compact.index(BOB.encode())
    assert genesis(alloc={BOB: 1, ALICE: 2}).hash == keccak256(compact)
    assert genesis(alloc={ALICE: 2, BOB: 1}).hash == keccak256(compact)


def test_the_hash_covers_everything() -> None:
    variants = [
        genesis(),
        genesis(chain_id=1),
        genesis(timestamp=1),
        genesis(shards=1),
        genesis(alloc={}),
        genesis(validators=[validator(n) for n in (1, 0, 2, 3)]),
        *(genesis(params=Params(**change)) for change in ({"gas_limit": 1}, {"heartbeat": 1.5})),
        *(
            genesis(validators=[validator(0, **change)])
            for change in ({}, {"stake": 1}, {"peer_id": "p"}, {"beacon": False}, {"shard": 1})
        ),
    ]
    assert len({variant.hash for variant in variants}) == len(variants)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": 1}, "version 1 is not 4"),
        ({"shards": 0}, "shards must be 1 to 1024, not 0"),
        ({"shards": 1025}, "shards must be 1 to 1024, not 1025"),
        ({"shards": 3}, "shard 2 has no validator"),
        ({"shards": 1}, "node-1: there is no shard 1"),
        ({"chain_id": 0}, "chain_id must be"),
        ({"chain_id": 2**53}, "chain_id must be"),
        ({"timestamp": -1}, "timestamp must be"),
        ({"timestamp": 2**64}, "timestamp must be"),
        ({"validators": [validator(n, beacon=False) for n in range(2)]}, "beacon = true"),
        ({"validators": [validator(0), validator(1, stake=0)]}, "node-1: the stake must be"),
        ({"validators": [validator(0), validator(1, shard=-1), validator(3)]}, "no shard -1"),
        ({"validators": [validator(0), validator(1, name="node-0")]}, "node-0 appears twice"),
        ({"validators": [validator(0), validator(1, peer_id="peer-0")]}, "peer-0 appears twice"),
        (
            {"validators": [validator(0), validator(1), validator(2, address=at_home(0))]},
            f"{at_home(0)} appears twice",
        ),
        ({"validators": [validator(0), validator(1, address=at_home(2))]}, "is at home on shard 0"),
        ({"validators": [validator(0), validator(1, address="0x1")]}, "'0x1' is not an address"),
        ({"alloc": {"bob": 1}}, "'bob' is not an address"),
        ({"alloc": {BOB: -1}}, f"alloc of {BOB} must be"),
        ({"alloc": {BOB: 2**128}}, f"alloc of {BOB} must be"),
        ({"alloc": {BOB: 1, "0x" + "BB" * 20: 2}}, "twice, in different letter case"),
        ({"params": Params(gas_limit=0)}, "params.gas_limit must be above 0"),
        ({"params": Params(base_fee=-1)}, "params.base_fee must be at least 0"),
        ({"params": Params(heartbeat=0.0)}, "params.heartbeat must be above 0"),
        ({"params": Params(timeout_scale=float("nan"))}, "params.timeout_scale must be above 0"),
        ({"params": Params(timeout_scale=float("inf"))}, "params.timeout_scale must be above 0"),
        ({"params": Params(gas_limit=2**64)}, "params.gas_limit must be above 0"),
    ],
)
def test_what_cannot_be_a_genesis_is_refused_by_name(
    changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        genesis(**changes).check()
    assert complaint in str(caught.value)


def test_zero_is_a_base_fee_and_a_block_interval() -> None:
    params = Params(base_fee=0, min_block_interval=0.0, max_arrivals=0)
    assert genesis(params=params).check().params == params


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "there is no such file; a genesis is expected"),
        (b"", "not a genesis file"),
        (b"[]", "not a genesis file"),
        (b"\xff\xfe", "not a genesis file"),
        (b'{"chain_id": 1}', "missing required field `version`"),
        (b'{"version": 4, "chain_id": 1}', "missing required field"),
        (b'{"version": 4, "chain_id": 1, "surprise": 2}', "unknown field `surprise`"),
        (b'{"version": 4, "chain_id": "1"}', "Expected `int`, got `str` - at `$.chain_id`"),
        (b'{"version": 1, "surprise": 2}', "make the network anew (`atoll up --reset`)"),
        (msgspec.json.encode(genesis(shards=9)), "shard 2 has no validator"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    content: bytes | None, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "genesis.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_genesis(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)


def test_addresses_are_0x_and_40_hex_digits() -> None:
    assert parse_address(ALICE) == b"\xaa" * 20
    for text in (
        "",
        "0x",
        "aa" * 20,
        "0X" + "aa" * 20,
        "0x" + "aa" * 19,
        "0x" + "aa" * 21,
        "0x" + "aa" * 19 + "a",
        "0x" + "aa" * 19 + "zz",
        "0x" + "aa " * 20,
        "0x" + "aa" * 20 + " ",
        "0x0x" + "aa" * 19,
        "0x" + "١" * 40,
    ):
        with pytest.raises(UserError, match="is not an address"):
            parse_address(text)
