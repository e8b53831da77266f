"""Quantities, data and the argument decoders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpc import decode
from rpc.encoding import (
    data,
    parse_address,
    parse_data,
    parse_hash,
    parse_quantity,
    parse_storage_slot,
)
from rpc.wire import AccessListEntry, BlockHash, CallRequest, LogFilter, SetCodeAuthorization

ADDRESS = "0x" + "Ab" * 20
HASH = "0x" + "cd" * 32


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_quantities_come_back(value):
    assert parse_quantity(hex(value)) == value


@given(st.binary(max_size=100))
def test_data_comes_back(value):
    assert parse_data(data(value)) == value


@pytest.mark.parametrize(("sent", "value"), [("0x0", 0), ("0X1F", 31), ("0x007", 7), (5, 5)])
def test_quantities_of_clients_in_use_are_understood(sent, value):
    assert parse_quantity(sent) == value


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("10", "without 0x prefix"),
        ("", "empty hex string"),
        ("0x", "no digits"),
        ("0xg", "invalid hex"),
        ("0x1_0", "invalid hex"),
        ("0x 1", "invalid hex"),
        ("0x-1", "invalid hex"),
        ("0x١", "invalid hex"),
        ("0x1" + "0" * 64, "> 256 bits"),
        ("0x" + "0" * 5000, "too long"),
        (-1, "negative"),
        (True, "got boolean"),
        (1.0, "got number"),
        (None, "got null"),
        ([], "got array"),
        ({}, "got object"),
    ],
)
def test_what_is_not_a_quantity_is_refused(sent, why):
    with pytest.raises(ValueError, match=why):
        parse_quantity(sent)


@pytest.mark.parametrize(("sent", "value"), [("", b""), ("0x", b""), ("0x00Ff", b"\x00\xff")])
def test_data_of_clients_in_use_is_understood(sent, value):
    assert parse_data(sent) == value


@pytest.mark.parametrize(
    ("sent", "why"),
    [("0x123", "odd length"), ("00", "prefix"), ("0x zz", "invalid"), ("0x00 ", "invalid")],
)
def test_what_is_not_data_is_refused(sent, why):
    with pytest.raises(ValueError, match=why):
        parse_data(sent)


def test_addresses_and_hashes_have_one_length():
    assert parse_address(ADDRESS) == b"\xab" * 20
    assert parse_hash(HASH) == b"\xcd" * 32
    with pytest.raises(ValueError, match="has length 38, want 40 for an address"):
        parse_address("0x" + "00" * 19)
    with pytest.raises(ValueError, match="want 64 for a hash"):
        parse_hash("0x")


@pytest.mark.parametrize(
    ("sent", "slot"),
    [("0x0", 0), ("0x", 0), ("1f", 31), ("0x" + "00" * 31 + "05", 5), ("00" * 32, 0)],
)
def test_storage_slots_come_as_quantity_or_word(sent, slot):
    assert parse_storage_slot(sent) == slot


@pytest.mark.parametrize("sent", [3, True, None, ["0x3"]])
def test_a_storage_slot_is_a_string(sent):
    with pytest.raises(ValueError, match="expected a hex string"):
        parse_storage_slot(sent)


def test_a_storage_slot_has_at_most_a_word():
    with pytest.raises(ValueError, match="too long"):
        parse_storage_slot("0x" + "00" * 33)


@pytest.mark.parametrize(
    ("sent", "ref"),
    [
        ("latest", "latest"),
        ("safe", "safe"),
        ("0x10", 16),
        (7, 7),
        (HASH, BlockHash(b"\xcd" * 32)),
        ({"blockNumber": "0x1"}, 1),
        ({"blockNumber": "earliest"}, "earliest"),
        ({"blockHash": HASH}, BlockHash(b"\xcd" * 32)),
        ({"blockHash": HASH, "requireCanonical": True}, BlockHash(b"\xcd" * 32)),
    ],
)
def test_block_references(sent, ref):
    assert decode.block_ref(sent) == ref


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("newest", "without 0x prefix"),
        ({"blockNumber": 1, "requireCanonical": False}, "goes with blockHash only"),
        ({}, "either blockHash or blockNumber"),
        ({"blockHash": HASH, "blockNumber": 1}, "cannot specify both"),
        ({"blockHash": "0x12"}, "blockHash: hex string has length 2"),
        ({"blockHash": HASH, "requireCanonical": "yes"}, "requireCanonical: expected a boolean"),
        ("0x8000000000000000", "larger than int64"),
        (True, "got boolean"),
        (None, "got null"),
        ([], "got array"),
    ],
)
def test_what_is_not_a_block_reference_is_refused(sent, why):
    with pytest.raises(ValueError, match=why):
        decode.block_ref(sent)


def test_a_call_request_with_everything():
    sent = {
        "from": ADDRESS,
        "to": ADDRESS,
        "gas": "0x5208",
        "maxFeePerGas": "0x2",
        "maxPriorityFeePerGas": "0x1",
        "value": "0x3",
        "data": "0x00",
        "input": "0x00",
        "nonce": "0x4",
        "chainId": "0x1",
        "type": "0x4",
        "accessList": [{"address": ADDRESS, "storageKeys": [HASH]}, {"address": ADDRESS}],
        "authorizationList": [
            {
                "chainId": "0x1",
                "address": ADDRESS,
                "nonce": "0x5",
                "yParity": "0x1",
                "r": "0x6",
                "s": "0x7",
            }
        ],
        "walletsOwnField": {"ignored": True},
    }
    address = b"\xab" * 20
    assert decode.call_request(sent) == CallRequest(
        from_=address,
        to=address,
        gas=21000,
        max_fee_per_gas=2,
        max_priority_fee_per_gas=1,
        value=3,
        data=b"\0",
        nonce=4,
        chain_id=1,
        type=4,
        access_list=(
            AccessListEntry(address, (b"\xcd" * 32,)),
            AccessListEntry(address, ()),
        ),
        authorization_list=(
            SetCodeAuthorization(chain_id=1, address=address, nonce=5, y_parity=1, r=6, s=7),
        ),
    )


def test_an_empty_call_request_leaves_everything_open():
    assert decode.call_request({"to": None, "gasPrice": None}) == CallRequest()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ([], "expected an object, got array"),
        ({"data": "0x01", "input": "0x02"}, 'both "data" and "input" are set and not equal'),
        ({"data": "0x01", "input": "0x"}, "not equal"),
        ({"gasPrice": "0x1", "maxFeePerGas": "0x1"}, "both gasPrice and"),
        ({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}, "<"),
        ({"gas": "0x10000000000000000"}, "gas: hex number > 64 bits"),
        ({"to": "vitalik.eth"}, "to: hex string without 0x prefix"),
        ({"blobVersionedHashes": [HASH]}, "no blob transactions"),
        ({"accessList": [{"storageKeys": []}]}, r"accessList\[0\]: address is missing"),
        (
            {"accessList": [{"address": ADDRESS, "storageKeys": [HASH, "0x"]}]},
            r"accessList\[0\]\.storageKeys\[1\]: hex string has length 0",
        ),
        ({"authorizationList": {}}, "authorizationList: expected an array"),
    ],
)
def test_a_wrong_call_request_says_what_is_wrong(sent, why):
    with pytest.raises(ValueError, match=why):
        decode.call_request(sent)


def test_log_filters():
    address, topic = b"\xab" * 20, b"\xcd" * 32
    assert decode.log_filter({}) == LogFilter(from_block="latest", to_block="latest")
    assert decode.log_filter(
        {"fromBlock": "0x1", "toBlock": "finalized", "address": ADDRESS, "topics": [HASH]}
    ) == LogFilter(from_block=1, to_block="finalized", addresses=(address,), topics=((topic,),))
    assert decode.log_filter(
        {
            "blockHash": HASH,
            "address": [ADDRESS, ADDRESS],
            "topics": [None, [], [HASH, HASH], [HASH, None]],
        }
    ) == LogFilter(
        block_hash=topic, addresses=(address, address), topics=(None, None, (topic, topic), None)
    )


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"blockHash": HASH, "fromBlock": "0x1"}, "cannot specify both"),
        ({"fromBlock": "0x2", "toBlock": "0x1"}, "invalid block range params"),
        ({"topics": [None] * 5}, "topics: array of 5 items, at most 4"),
        ({"topics": [None, "0x1"]}, r"topics\[1\]: hex string has length 1"),
        ({"topics": [[HASH, 1]]}, r"topics\[0\]\[1\]: expected a hex string"),
        ({"address": [ADDRESS] * 1001}, "at most 1000"),
        ({"fromBlock": {"blockHash": HASH}}, "fromBlock: expected a block number or tag"),
    ],
)
def test_a_wrong_log_filter_says_what_is_wrong(sent, why):
    with pytest.raises(ValueError, match=why):
        decode.log_filter(sent)


@pytest.mark.parametrize("sent", [{}, {ADDRESS: []}])
def test_no_slots_at_all_are_an_empty_request(sent):
    with pytest.raises(ValueError, match="empty request"):
        decode.storage_requests(sent)


def test_percentiles_rise_from_0_to_100():
    assert decode.percentiles([0, 12.5, 100]) == (0.0, 12.5, 100.0)
    for wrong in ([5, 5], [101], [-1], [True], ["5"], 5, list(range(101))):
        with pytest.raises(ValueError, match=r"percentile|expected|at most"):
            decode.percentiles(wrong)
