"""The JSON form of a proof (docs/proofs.md, "Format").

Bytes are 0x and lower-case hex digits, numbers are JSON numbers below 2^63, every field is present (except an
era of 0) and no other, lists and the document are bounded. So a decoded proof has one form and a known size.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from consensus.codec import decode_certificate, encode_certificate
from node.beacon.block import BeaconHeader
from node.beacon.rewind import MAX_ERA
from node.light.errors import InvalidProof, part
from node.light.proof import (
    BeaconStep,
    CrosslinkedBlock,
    DeliveredProof,
    MessageProof,
    Nodes,
    SentProof,
)
from node.primitives.basics import Hash32
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError
from node.primitives.header import Header
from node.primitives.message import MAX_MESSAGE_BYTES, Message

PROOF_VERSION = 1
MAX_PROOF_BYTES = 20 * 1024 * 1024
"""Of the JSON text: a block's largest receipt and item, and room for the rest."""
MAX_STEPS = 2050
"""One for each change of the largest beacon committee, and the blocks that finalise the message."""
MAX_HEADERS = 1024
"""More crosslinks of one shard than a beacon block can hold."""
MAX_BEHIND = 15_000
"""Messages behind the proven one on its lane at the end of its block."""
MAX_NODES = 1024
_MAX_HEADER = 1024

_Hex = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]*\Z")]
_Hash = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]
_Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Nodes = Annotated[list[_Hex], Meta(max_length=MAX_NODES)]


class _Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields in the order in which the document has them."""


class _Step(_Form, frozen=True):
    header: _Hex
    certificate: _Hex
    nodes: _Nodes
    era: _Number | msgspec.UnsetType = msgspec.UNSET


class _Block(_Form, frozen=True):
    beacon: _Number
    headers: Annotated[list[_Hex], Meta(max_length=MAX_HEADERS)]
    certificate: _Hex


class _Sent(_Form, frozen=True):
    block: _Block
    before: _Hash
    after: Annotated[list[_Hash], Meta(max_length=MAX_BEHIND)]
    state: _Nodes
    index: _Number
    receipts: _Nodes


class _Delivered(_Form, frozen=True):
    block: _Block
    index: _Number
    items: _Nodes
    receipts: _Nodes


class _Document(_Form, frozen=True):
    version: _Number
    genesis: _Hash
    message: _Hex
    beacon: Annotated[list[_Step], Meta(max_length=MAX_STEPS)]
    sent: _Sent
    delivered: _Delivered | None


class _VersionedProof(msgspec.Struct, frozen=True):
    version: _Number


def proof_document(proof: MessageProof) -> dict[str, Any]:
    """The proof, ready for JSON."""
    delivered = None
    if proof.delivered is not None:
        delivered = _Delivered(
            block=_block_form(proof.delivered.block),
            index=proof.delivered.index,
            items=_hexes(proof.delivered.items),
            receipts=_hexes(proof.delivered.receipts),
        )
    document = _Document(
        version=PROOF_VERSION,
        genesis=_hex(proof.genesis),
        message=_hex(proof.message.encoded),
        beacon=[
            _Step(
                header=_hex(step.header.encoded),
                certificate=_hex(encode_certificate(step.certificate)),
                nodes=_hexes(step.nodes),
                era=step.era or msgspec.UNSET,
            )
            for step in proof.beacon
        ],
        sent=_Sent(
            block=_block_form(proof.sent.block),
            before=_hex(proof.sent.before),
            after=_hexes(proof.sent.after),
            state=_hexes(proof.sent.state),
            index=proof.sent.index,
            receipts=_hexes(proof.sent.receipts),
        ),
        delivered=delivered,
    )
    out: dict[str, Any] = msgspec.to_builtins(document)
    return out


def _no_proof(reason: str) -> InvalidProof:
    return InvalidProof("", f"not the JSON of a proof: {reason}")


@decoder("", _no_proof, also=(InvalidProof,))
def decode_proof(data: bytes) -> MessageProof:
    """Raises InvalidProof for anything but the JSON of a proof within the limits."""
    if len(data) > MAX_PROOF_BYTES:
        raise InvalidProof("", f"{len(data)} bytes of JSON, at most {MAX_PROOF_BYTES}")
    version = msgspec.json.decode(data, type=_VersionedProof).version
    if version != PROOF_VERSION:
        raise InvalidProof("version", f"version {version} is not {PROOF_VERSION}")
    return _proof(msgspec.json.decode(data, type=_Document))


def _proof(document: _Document) -> MessageProof:
    with part("message"):
        raw = _bytes(document.message, MAX_MESSAGE_BYTES)
        message = Message.decode(raw)
    return MessageProof(
        genesis=Hash32(_bytes(document.genesis)),
        message=message,
        beacon=tuple(_step(f"beacon[{i}]", step) for i, step in enumerate(document.beacon)),
        sent=_sent(document.sent),
        delivered=None if document.delivered is None else _delivered(document.delivered),
    )


def _step(where: str, form: _Step) -> BeaconStep:
    with part(f"{where}.header"):
        header = BeaconHeader.decode(_bytes(form.header))
    with part(f"{where}.certificate"):
        certificate = decode_certificate(_bytes(form.certificate))
    era = 0 if form.era is msgspec.UNSET else form.era
    if form.era == 0 or era > MAX_ERA:
        raise InvalidProof(f"{where}.era", f"{era} is not from 1 to {MAX_ERA}")
    return BeaconStep(
        header=header,
        certificate=certificate,
        nodes=_nodes(f"{where}.nodes", form.nodes),
        era=era,
    )


def _block(where: str, form: _Block) -> CrosslinkedBlock:
    headers = []
    for index, text in enumerate(form.headers):
        with part(f"{where}.headers[{index}]"):
            headers.append(Header.decode(_bytes(text, _MAX_HEADER)))
    with part(f"{where}.certificate"):
        certificate = decode_certificate(_bytes(form.certificate))
    return CrosslinkedBlock(beacon=form.beacon, headers=tuple(headers), certificate=certificate)


def _sent(form: _Sent) -> SentProof:
    return SentProof(
        block=_block("sent.block", form.block),
        before=Hash32(_bytes(form.before)),
        after=tuple(Hash32(_bytes(text)) for text in form.after),
        state=_nodes("sent.state", form.state),
        index=form.index,
        receipts=_nodes("sent.receipts", form.receipts),
    )


def _delivered(form: _Delivered) -> DeliveredProof:
    return DeliveredProof(
        block=_block("delivered.block", form.block),
        index=form.index,
        items=_nodes("delivered.items", form.items),
        receipts=_nodes("delivered.receipts", form.receipts),
    )


def _block_form(block: CrosslinkedBlock) -> _Block:
    return _Block(
        beacon=block.beacon,
        headers=[_hex(header.encoded) for header in block.headers],
        certificate=_hex(encode_certificate(block.certificate)),
    )


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _hexes(values: tuple[bytes, ...]) -> list[str]:
    return [_hex(value) for value in values]


def _bytes(text: str, limit: int = MAX_PROOF_BYTES) -> bytes:
    if len(text) % 2:
        raise DecodeError("an odd number of hex digits")
    if len(text) // 2 - 1 > limit:
        raise DecodeError(f"{len(text) // 2 - 1} bytes, at most {limit}")
    return bytes.fromhex(text[2:])


def _nodes(where: str, texts: list[str]) -> Nodes:
    with part(where):
        return tuple(map(_bytes, texts))
