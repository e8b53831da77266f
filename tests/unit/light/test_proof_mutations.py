"""A proof with anything in it changed proves nothing.

The proof under test has every part there is: two changes of the beacon committee, a shard block that was
crosslinked together with later ones, messages before and behind the proven one, and its delivery.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.codec import decode_certificate, encode_certificate
from node.light.codec import MAX_PROOF_BYTES, decode_proof
from node.light.errors import InvalidProof
from node.light.verify import ProvenMessage, verify
from node.primitives.basics import keccak256
from node.primitives.genesis import Genesis
from node.primitives.keys import KeccakSecp256k1
from tests.support.effort import examples, thinned

ETHER = 10**18


class CachedChecker:
    """The same signatures come again in all mutants of a proof."""

    def __init__(self) -> None:
        self.recover = lru_cache(maxsize=None)(KeccakSecp256k1().recover)


@dataclass
class Case:
    genesis: Genesis
    document: dict[str, Any]
    proven: ProvenMessage
    checker: CachedChecker

    def verify(self, document: dict[str, Any]) -> ProvenMessage:
        return self.verify_text(msgspec.json.encode(document))

    def verify_text(self, text: bytes) -> ProvenMessage:
        return verify(self.genesis, decode_proof(text), checker=self.checker)

    def refuse(self, document: dict[str, Any], what: object) -> InvalidProof:
        try:
            self.verify(document)
        except InvalidProof as error:
            return error
        pytest.fail(f"accepted: {what}")


async def make_case(devnet: Any) -> Case:
    net = devnet(shards=2, per_shard=4)
    views = net.views()
    alice, bob = net.users[0][:2]
    net.settle()
    net.jail(1, 3)
    net.round()
    for user, count in ((alice, 3), (bob, 2)):
        for n in range(count):
            await views.network.send_raw_transaction(
                user.sign(net.users[1][n].address, ETHER + n, gas=25_000)
            )
    net.step(0)
    messages = [message for _, message in net.chains[0].sent_in(net.chains[0].head.number)]
    for _ in range(3):
        net.step(0)
    net.crosslink()
    net.jail(0, 2)
    net.settle()
    net.jail(1, 2)
    document = await views.backend.atoll.prove_message(messages[2].id)
    checker = CachedChecker()
    proven = verify(net.genesis, decode_proof(msgspec.json.encode(document)), checker=checker)
    return Case(net.genesis, document, proven, checker)


@pytest.fixture(scope="module")
def case(devnet_class) -> Case:
    return trio.run(make_case, devnet_class)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every (path, value) that is neither an object nor a list."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, below in entries:
            yield from leaves(below, (*path, key))
    else:
        yield path, value


def lists(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    if isinstance(value, list):
        yield path, value
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from lists(below, (*path, key))


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        yield path
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from objects(below, (*path, key))


def kind(path: tuple[Any, ...]) -> str:
    """A path without the numbers: which class of bytes it is."""
    return ".".join(part for part in path if isinstance(part, str))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy with another value there."""
    mutant = copy.deepcopy(document)
    at(mutant, path[:-1])[path[-1]] = value
    return mutant


def flipped(text: str, byte: int, mask: int) -> str:
    start = 2 + 2 * byte
    return f"{text[:start]}{int(text[start : start + 2], 16) ^ mask:02x}{text[start + 2 :]}"


BYTES = (
    "genesis",
    "message",
    "beacon.header",
    "beacon.certificate",
    "beacon.nodes",
    "sent.block.headers",
    "sent.block.certificate",
    "sent.before",
    "sent.after",
    "sent.state",
    "sent.receipts",
    "delivered.block.certificate",
    "delivered.items",
    "delivered.receipts",
)
NUMBERS = (
    "version",
    "sent.block.beacon",
    "sent.index",
    "delivered.block.beacon",
    "delivered.index",
)


def test_the_proof_has_every_class(case):
    found = {kind(path) for path, _ in leaves(case.document)}
    assert found == {*BYTES, *NUMBERS}
    assert len(case.document["beacon"]) == 4
    assert len(case.document["sent"]["block"]["headers"]) == 3
    assert len(case.document["sent"]["after"]) == 2
    assert int(case.document["sent"]["before"], 16)


@pytest.mark.parametrize("name", BYTES)
def test_no_byte_can_be_changed(case, name):
    """Every byte of short values; of longer ones every third, and all of the first and last 40."""
    for path, text in leaves(case.document):
        if kind(path) != name:
            continue
        size = len(text) // 2 - 1
        chosen = [n for n in range(size) if not (40 <= n < size - 40 and n % 3)]
        for byte in thinned(chosen):
            mutant = changed(case.document, path, flipped(text, byte, (1, 0x80, 0xFF)[byte % 3]))
            case.refuse(mutant, (path, byte))


@pytest.mark.parametrize("name", BYTES)
def test_no_value_can_be_cut_or_grow(case, name):
    for path, text in leaves(case.document):
        if kind(path) == name:
            for other in (text[:-2], text + "00", "0x00" + text[2:], "0x", text[:-1], ""):
                case.refuse(changed(case.document, path, other), (path, other))


@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_can_be_changed(case, name):
    for path, number in leaves(case.document):
        if kind(path) == name:
            for other in (number + 1, number - 1, 0 if number else 7, 1 << 62, -1, 1 << 70, "1"):
                if other != number:
                    case.refuse(changed(case.document, path, other), (path, other))


def test_no_list_can_lose_gain_or_swap_an_element(case):
    for path, row in lists(case.document):
        for index in range(len(row)):
            mutants = [row[:index] + row[index + 1 :], row[: index + 1] + row[index:]]
            if index:
                mutants.append([*row[: index - 1], row[index], row[index - 1], *row[index + 1 :]])
            for mutant in mutants:
                case.refuse(changed(case.document, path, mutant), (path, index))
        if row:
            case.refuse(changed(case.document, path, []), path)


def test_a_node_of_one_proof_is_of_no_use_in_another(case):
    rows = [(path, row) for path, row in lists(case.document) if kind(path).endswith(NODES)]
    assert len(rows) == 8
    for path, row in rows:
        for _, other in rows:
            for node in thinned(sorted(set(other) - set(row))):
                for mutant in ([*row, node], [*row[:-1], node]):
                    case.refuse(changed(case.document, path, sorted_nodes(mutant)), path)


NODES = ("nodes", "state", "receipts", "items")


def sorted_nodes(row: list[str]) -> list[str]:
    return sorted(row, key=lambda text: keccak256(bytes.fromhex(text[2:])))


def test_no_field_can_be_left_out_added_or_renamed(case):
    for path in objects(case.document):
        for name in at(case.document, path):
            mutant = copy.deepcopy(case.document)
            del at(mutant, path)[name]
            case.refuse(mutant, (path, name))
            at(mutant, path)[name + "s"] = at(case.document, path)[name]
            case.refuse(mutant, (path, name))
        mutant = copy.deepcopy(case.document)
        at(mutant, path)["note"] = "0x"
        case.refuse(mutant, path)


def test_no_value_can_be_of_another_type(case):
    paths = [path for path, _ in leaves(case.document)]
    paths += [path for path, _ in lists(case.document)] + [p for p in objects(case.document) if p]
    for path in thinned(paths):
        for other in (None, True, 1.5, {}, [[]], "0xgg", "0x0", "0X00", " 0x", "0x\n"):
            if path != ("delivered",) or other is not None:
                case.refuse(changed(case.document, path, other), (path, other))


def test_without_the_delivery_it_still_proves_the_sending(case):
    """It is another proof then: the step that only showed the delivery has to go too."""
    mutant = changed(case.document, ("delivered",), None)
    assert case.refuse(mutant, "delivered").where == "beacon[3]"
    mutant["beacon"].pop()
    # ... and so has the change of the committee that led there
    mutant["beacon"].pop()
    proven = case.verify(mutant)
    assert proven.delivered is None
    assert (proven.message, proven.sent) == (case.proven.message, case.proven.sent)


def test_every_certificate_needs_more_than_two_thirds(case):
    """Signers may be left out down to the quorum, and not below it."""
    for path, text in leaves(case.document):
        if kind(path).endswith("certificate"):
            certificate = decode_certificate(bytes.fromhex(text[2:]))
            members = len(certificate.signatures)
            for count in range(1, members):
                fewer = replace(
                    certificate,
                    signers=(1 << count) - 1,
                    signatures=certificate.signatures[:count],
                )
                mutant = changed(case.document, path, "0x" + encode_certificate(fewer).hex())
                if 3 * count > 2 * members:
                    assert case.verify(mutant) == case.proven
                else:
                    assert "no more than two thirds" in str(case.refuse(mutant, (path, count)))


def test_no_signature_counts_twice(case):
    for path, text in leaves(case.document):
        if kind(path).endswith("certificate"):
            certificate = decode_certificate(bytes.fromhex(text[2:]))
            one, *others = certificate.signatures
            twice = replace(certificate, signatures=(one, one, *others[1:]))
            mutant = changed(case.document, path, "0x" + encode_certificate(twice).hex())
            assert "does not recover to its signer" in str(case.refuse(mutant, path))


def test_errors_say_which_part_is_wrong(case):
    def where(path, value):
        return case.refuse(changed(case.document, path, value), path).where

    document = case.document
    nodes = document["beacon"][1]["nodes"]
    assert where(("version",), 2) == "version"
    assert where(("genesis",), "0x" + "11" * 32) == "genesis"
    assert where(("message",), "0xc0") == "message"
    assert where(("beacon", 2, "certificate"), "0x") == "beacon[2].certificate"
    assert where(("beacon", 1, "nodes"), nodes[::-1]) == "beacon[1].nodes"
    assert where(("sent", "block", "beacon"), 1) == "sent.block.beacon"
    assert where(("sent", "after"), document["sent"]["after"][1:]) == "sent.after"
    assert where(("sent", "after"), document["sent"]["after"][::-1]) == "sent"
    assert where(("sent", "index"), 0) == "sent.receipts"
    assert where(("delivered", "index"), 40) == "delivered.items"


@settings(max_examples=examples(200))
@given(data=st.data())
def test_arbitrary_bytes_of_the_file_change_nothing_or_are_refused(case, data):
    """A change of white space is none; anything that is accepted says the same."""
    text = bytearray(msgspec.json.format(msgspec.json.encode(case.document)))
    spaces = [at for at, byte in enumerate(text) if byte == ord(" ")]
    harmless = data.draw(st.booleans())
    places = st.sampled_from(spaces) if harmless else st.integers(0, len(text) - 1)
    values = st.sampled_from(b" \t") if harmless else st.integers(0, 255)
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(places)] = data.draw(values)
    try:
        proven = case.verify_text(bytes(text))
    except InvalidProof:
        assert not harmless
        return
    assert proven == case.proven


@settings(max_examples=examples(50))
@given(
    garbage=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda below: st.lists(below) | st.dictionaries(st.text(), below),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_garbage_is_refused(garbage):
    with pytest.raises(InvalidProof):
        decode_proof(garbage)


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 100_000,
        b'{"version":' + b"[" * 100_000,
        b'{"version":' + b"9" * 1_000_000 + b"}",
        b'{"version":1e400}',
        b'{"version":1,"genesis":"\\ud800"}',
        b"\xff\xfe",
        b"",
        b" " * (MAX_PROOF_BYTES + 1),
    ],
)
def test_bombs_are_refused(bomb):
    with pytest.raises(InvalidProof):
        decode_proof(bomb)
