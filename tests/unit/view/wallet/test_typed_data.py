"""EIP-712 digests: the standard's example, and whatever eth_account makes of the same data."""

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from node.primitives.basics import keccak256
from node.view.wallet.typed_data import MAX_TEXT, MAX_VALUES, digest
from rpc.errors import InvalidParams

PERSON = [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}]
MAIL = [
    {"name": "from", "type": "Person"},
    {"name": "to", "type": "Person"},
    {"name": "contents", "type": "string"},
]
EXAMPLE = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Person": PERSON,
        "Mail": MAIL,
    },
    "primaryType": "Mail",
    "domain": {
        "name": "Ether Mail",
        "version": "1",
        "chainId": 1,
        "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
    },
    "message": {
        "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
        "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
        "contents": "Hello, Bob!",
    },
}


def reference(data):
    message = encode_typed_data(full_message=data)
    return keccak256(b"\x19" + message.version + message.header + message.body)


def simple(kind, value):
    return {
        "types": {"EIP712Domain": [], "T": [{"name": "x", "type": kind}]},
        "primaryType": "T",
        "domain": {},
        "message": {"x": value},
    }


def test_the_standards_example():
    expected = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    assert digest(EXAMPLE).hex() == expected


values = (
    st.tuples(st.just("uint256"), st.integers(0, 2**256 - 1))
    | st.tuples(st.just("int64"), st.integers(-(2**63), 2**63 - 1))
    | st.tuples(st.just("bool"), st.booleans())
    | st.tuples(st.just("string"), st.text(st.characters(exclude_categories=["Cs"])))
    | st.tuples(st.just("bytes"), st.binary().map(lambda b: "0x" + b.hex()))
    | st.tuples(st.just("bytes4"), st.binary(min_size=4, max_size=4).map(lambda b: "0x" + b.hex()))
    | st.tuples(
        st.just("address"), st.binary(min_size=20, max_size=20).map(lambda b: "0x" + b.hex())
    )
    | st.tuples(st.just("uint8[]"), st.lists(st.integers(0, 255), max_size=4))
    | st.tuples(st.just("uint8[2]"), st.lists(st.integers(0, 255), min_size=2, max_size=2))
    | st.tuples(st.just("bool[][2]"), st.lists(st.lists(st.booleans()), min_size=2, max_size=2))
)


@given(values)
def test_atoms_and_arrays_as_eth_account_encodes_them(pair):
    data = simple(*pair)
    assert digest(data) == reference(data)


def test_arrays_of_structs_and_types_without_a_domain():
    data = {
        "types": {"Person": PERSON, "Group": [{"name": "members", "type": "Person[]"}]},
        "primaryType": "Group",
        "domain": {},
        "message": {"members": [EXAMPLE["message"]["to"], EXAMPLE["message"]["from"]]},
    }
    with_domain = {**data, "types": {**data["types"], "EIP712Domain": []}}
    assert digest(data) == digest(with_domain) == reference(with_domain)


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("Person", {}, "no type 'Person'"),
        ("uint8", 256, "out of range"),
        ("uint8", -1, "out of range"),
        ("uint8", True, "a number"),
        ("uint8", "one", "a number"),
        ("uint7", 1, "no type"),
        ("bytes33", "0x", "bytes33 is expected"),
        ("bytes4", "0x00", "bytes4 is expected"),
        ("bytes", "00", "0x string"),
        ("bool", 1, "a boolean"),
        ("string", 1, "a string"),
        ("address", "0x00", "20 bytes"),
        ("uint8[2]", [1], "Expected 2 items for array type uint8"),
        ("uint8[]", 1, "an array"),
        ("T", None, None),
        ("T[]", [None] * 3, None),
    ],
)
def test_what_is_not_of_its_type(kind, value, why):
    if why is None:
        assert len(digest(simple(kind, value))) == 32
        return
    with pytest.raises(InvalidParams, match=why):
        digest(simple(kind, value))


def test_a_value_nested_without_end():
    value = None
    for _ in range(500):
        value = {"x": value}
    with pytest.raises(InvalidParams, match="nested too deeply"):
        digest(simple("T", value))
    with pytest.raises(InvalidParams, match="x is missing"):
        digest({**EXAMPLE, "types": {**EXAMPLE["types"], "Mail": [{"name": "x", "type": "bool"}]}})


def test_a_member_that_is_there_twice_is_refused():
    """Its value would be hashed once for each: `width ** depth` hashes out of a few kB."""
    width, depth = 10, 2
    types = {f"T{i}": [{"name": "a", "type": f"T{i + 1}"}] * width for i in range(depth)}
    types[f"T{depth}"] = [{"name": "v", "type": "uint256"}]
    value = {"v": 1}
    for _ in range(depth):
        value = {"a": value}
    bomb = {"types": types, "primaryType": "T0", "domain": {}, "message": value}
    with pytest.raises(InvalidParams, match=r"types\.T0: the member 'a' is there twice"):
        digest(bomb)


def test_what_a_digest_costs_is_bounded():
    assert len(digest(simple("uint8[]", [1] * (MAX_VALUES - 1)))) == 32
    with pytest.raises(InvalidParams, match=f"more than {MAX_VALUES} values"):
        digest(simple("uint8[]", [1] * MAX_VALUES))
    wordy = simple("uint8", 1)
    wordy["types"]["U"] = [{"name": "n" * MAX_TEXT, "type": "bool"}]
    with pytest.raises(InvalidParams, match="types: more than"):
        digest(wordy)


def test_where_something_is_wrong_is_said_in_a_few_words():
    name = "n" * 1000
    data = simple("U[]", [{name: True}, {name: 1}])
    data["types"]["U"] = [{"name": name, "type": "bool"}]
    with pytest.raises(InvalidParams, match=r"message\.x\[1\]\.n{63}: a boolean is expected"):
        digest(data)
