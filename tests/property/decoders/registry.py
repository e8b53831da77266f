"""Every decoder of bytes from a peer, the disk or a file, with sound input for it.

An `Entry` is one way to call a decoder. What it may raise is what `node.primitives.decoding.decoder` marked it
with, or is said here. `again` makes the bytes of what was decoded: where it is there, a value has one encoding,
and what decodes is that.
"""

import contextlib
import hashlib
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from consensus import codec
from consensus.errors import CodecError
from consensus.evidence import Evidence, make_evidence
from consensus.types import Certificate, Proposal, Vote, VoteType
from node import wire
from node.beacon import chain as beacon_chain
from node.beacon import evidence as beacon_evidence
from node.beacon.block import BeaconBlock, BeaconBody, BeaconHeader
from node.beacon.eras import EraRecord
from node.beacon.evidence import DoubleSigning, ShardFork
from node.beacon.rewind import Rewind
from node.chains import shard_app
from node.cluster import fault_book
from node.cluster.client import abi
from node.cluster.dumps import archive
from node.cluster.fault_model import ActiveFault
from node.cluster.manifest import Manifest
from node.config import toml
from node.config.node_config import NodeConfig
from node.config.toml import render_toml
from node.engine import journal, sync
from node.execution.state import account, receipts
from node.execution.trie import trie_nodes
from node.light import codec as light_codec
from node.light.proof import BeaconStep, CrosslinkedBlock, DeliveredProof, MessageProof, SentProof
from node.primitives import genesis, messenger, rlp, transaction, unsigned
from node.primitives.births import Birth
from node.primitives.crosslink import Crosslink
from node.primitives.dev_operation import DevKind, DevOperation
from node.primitives.errors import CorruptData, DecodeError, UserError
from node.primitives.header import Header
from node.primitives.message import Message, MessageKind
from node.primitives.mining import MiningOrder
from node.primitives.requests import Counters, InboxMove, OutboxMove, ShardRequests
from node.query import codec as source_codec
from node.query import tracers
from node.query.question import Question
from node.query.questions import QUESTIONS
from node.shard import block as shard_block
from node.shard import chain as shard_chain
from node.shard import pool_file
from node.shard.block import BeaconOps, ShardBlock
from node.shard.lanes import Tails
from node.storage import last_signed
from node.view import reasons
from p2p.errors import ProtocolViolation
from p2p.framing import FrameDecoder
from tests.property.decoders.sample import sample

rnd = random.Random(20_261_130)
R = rnd.randbytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`decoder`: the function that is covered; `call`: how to give it bytes, if not as its argument alone."""

    decoder: Callable[..., Any]
    seeds: Sequence[bytes]
    form: str = ""
    call: Callable[[bytes], Any] | None = None
    errors: tuple[type[Exception], ...] = ()
    again: Callable[[Any], bytes] | None = None
    note: str = ""

    @property
    def path(self) -> str:
        """Module and qualified name."""
        return f"{self.decoder.__module__}.{self.decoder.__qualname__}"

    @property
    def name(self) -> str:
        return f"{self.path}{self.note and ' of '}{self.note}"

    @property
    def declared(self) -> tuple[type[Exception], ...]:
        found: tuple[type[Exception], ...] = getattr(self.decoder, "declared", ())
        return (*found, *self.errors)

    def decode(self, data: bytes) -> Any:
        return (self.call or self.decoder)(data)


# ---------------------------------------------------------------------- values


def _vote(block: bytes | None = b"") -> Vote:
    return Vote(
        type=rnd.choice(list(VoteType)),
        height=7,
        round=1,
        block_id=R(32) if block == b"" else block,
        validator=R(20),
        signature=R(65),
    )


def _proposal() -> Proposal:
    return Proposal(
        height=9, round=2, block_id=R(32), pol_round=rnd.randrange(-1, 2), proposer=R(20), signature=R(65)
    )  # fmt: skip


def _certificate() -> Certificate:
    signers = rnd.choice((0b1, 0b111, 1 << 9 | 1))
    signatures = tuple(R(65) for _ in range(signers.bit_count()))
    return Certificate(height=4, round=0, block_id=R(32), signers=signers, signatures=signatures)


def _evidence() -> Evidence:
    voter = R(20)
    first, second = (
        Vote(type=VoteType.PREVOTE, height=7, round=1, block_id=b, validator=voter, signature=R(65))
        for b in (R(32), R(32))
    )
    return make_evidence(first, second)


def _header(requests_hash: bytes = b"") -> Header:
    return Header(
        parent_hash=R(32), ommers_hash=R(32), coinbase=R(20), state_root=R(32), transactions_root=R(32),
        receipts_root=R(32), logs_bloom=bytes(256), difficulty=0, number=rnd.randrange(1 << 20),
        gas_limit=30_000_000, gas_used=21_000, timestamp=1_700_000_000, extra_data=R(rnd.randrange(33)),
        prev_randao=R(32), nonce=bytes(8), base_fee_per_gas=7, withdrawals_root=R(32), blob_gas_used=0,
        excess_blob_gas=0, parent_beacon_block_root=R(32), requests_hash=requests_hash or R(32),
    )  # fmt: skip


def _message() -> Message:
    return Message(
        src=0, dst=1, seq=rnd.randrange(1 << 30), kind=rnd.choice(list(MessageKind)), sender=R(20), to=R(20),
        value=rnd.randrange(1 << 70), gas=90_000, gas_price=7, refund_to=R(20), data=R(rnd.randrange(200)),
        reply_gas=rnd.randrange(1 << 16), callback=rnd.choice((b"", R(4))),
        in_reply_to=rnd.choice((b"", R(32))),
        origin_tx=R(32), depth=rnd.randrange(4),
    )  # fmt: skip


def _requests() -> ShardRequests:
    return ShardRequests(
        outbox=(
            OutboxMove(dst=1, count=3, head=R(32), gas=9, wei=7, asked=2),
            OutboxMove(dst=2, count=0, head=R(32), gas=0, wei=1 << 255, asked=0),
        ),
        inbox=(InboxMove(src=3, count=300, gas=1 << 90, wei=0, asked=299),),
        counters=Counters(issued=-5, burned=1 << 70),
        births=(Birth(creator=R(20), nonce=5), Birth(creator=R(20), salt=R(32), init_hash=R(32), kept=False)),
    )  # fmt: skip


def _crosslink() -> Crosslink:
    return Crosslink(shard=1, header=_header(), requests=_requests(), certificate=_certificate())


def _rewind() -> Rewind:
    return Rewind(era=2, height=40, block_hash=R(32), taken=60, salt=R(16), tips=(31, 900))


def _beacon_header() -> BeaconHeader:
    return BeaconHeader(
        height=5, parent=R(32), timestamp=1, proposer=R(20), randao=R(32), body_root=R(32), state_root=R(32)
    )  # fmt: skip


def _items() -> list[beacon_evidence.EvidenceItem]:
    first, second = sorted((_certificate(), _certificate()), key=lambda c: (c.round, c.block_id))
    return [
        DoubleSigning(chain=rnd.choice((0, 0xFFFFFFFF)), evidence=_evidence()),
        ShardFork(shard=1, first=first, second=second),
    ]


def _beacon_block(*, rewind: bool = False) -> BeaconBlock:
    body = BeaconBody(crosslinks=(_crosslink(), _crosslink()), evidence=tuple(_items()))
    return BeaconBlock(
        header=_beacon_header(), body=BeaconBody(rewind=_rewind()) if rewind else body
    )


def _log() -> receipts.Log:
    return receipts.Log(
        address=R(20), topics=tuple(R(32) for _ in range(rnd.randrange(5))), data=R(40)
    )


def _receipt(*logs: receipts.Log) -> receipts.Receipt:
    return receipts.Receipt(
        type=rnd.choice((0, 2, 0x7D)), status=1, cumulative_gas_used=1 << 20, logs=logs
    )


def _transactions() -> list[bytes]:
    """Signed with nonsense that recovers to somebody, where it does."""
    to, access = R(20), [[R(20), [R(32)]]]
    fees = [b"\x01", b"", b"\x07", b"\x09"]
    rs = [rnd.randrange(1, 1 << 200).to_bytes(25, "big") for _ in range(2)]
    sign = [b"\x01", rs[0].lstrip(b"\0"), rs[1].lstrip(b"\0")]
    grant = [b"\x01", R(20), b"\x05", b"", *sign[1:]]
    return [
        rlp.encode([b"\x05", b"\x07", b"\x52\x08", to, b"\x01", b"", b"\x25", *sign[1:]]),
        b"\x01" + rlp.encode([b"\x01", b"", b"\x07", b"\x52\x08", to, b"\x01", R(40), access, *sign]),
        b"\x02" + rlp.encode([b"\x01", b"", b"\x07", b"\x09", b"\x52\x08", b"", b"", R(60), [], *sign]),
        b"\x04" + rlp.encode([*fees, b"\x52\x08", to, b"", b"", access, [grant], *sign]),
        bytes([transaction.IMPERSONATED_TYPE])
        + rlp.encode([R(20), b"\x02" + rlp.encode([*fees, b"\x52\x08", to, b"", b"", []])]),
    ]  # fmt: skip


def _operations() -> list[bytes]:
    kinds = (DevKind.SET_BALANCE, DevKind.SET_STORAGE, DevKind.SET_CLOCK, DevKind.SET_MINING)
    plain = [DevOperation(kind=kind, salt=R(16)).encoded for kind in kinds]
    return [*plain, DevOperation(kind=DevKind.SET_CODE, salt=R(16), to=R(20), data=R(50)).encoded]


def _shard_block() -> ShardBlock:
    moved = BeaconOps(moved=((R(20), 1), (R(20), 0)))
    arrival = shard_block.encode_arrival(_message())
    return ShardBlock(
        header=_header(), items=(moved.encoded, arrival, *_operations(), *_transactions())
    )


def _tails() -> Tails:
    return Tails(hashes={1: (R(32), R(32)), 3: (R(32),)})


def _proof() -> MessageProof:
    nodes = (R(33), R(70))
    block = CrosslinkedBlock(beacon=5, headers=(_header(),), certificate=_certificate())
    step = BeaconStep(header=_beacon_header(), certificate=_certificate(), nodes=nodes, era=1)
    sent = SentProof(
        block=block, before=R(32), after=(R(32),), state=nodes, index=1, receipts=nodes
    )
    there = DeliveredProof(block=block, index=0, items=nodes, receipts=nodes)
    return MessageProof(
        genesis=R(32), message=_message(), beacon=(step,), sent=sent, delivered=there
    )


def _genesis() -> genesis.Genesis:
    first = genesis.GenesisValidator(
        name="s0v0", address="0x" + R(20).hex(), peer_id="12D3Koo", shard=0, stake=10**18, beacon=True
    )  # fmt: skip
    funds = {"0x" + R(20).hex(): 10**20 for _ in range(3)}
    return genesis.Genesis(chain_id=31337, timestamp=1, shards=1, validators=[first], alloc=funds)


def _contents() -> archive.Contents:
    files = [archive.ArchiveEntry(path="genesis.json", size=7, sha256=R(32).hex())]
    return archive.Contents(
        format=archive.FORMAT, atoll="0.1.0", made=1, chain_id=5, running=True, beacon=archive.Head(),
        shards=[archive.ShardHead(id=0, height=4, hash="0x" + R(32).hex())], nodes=["s0v0"], files=files,
    )  # fmt: skip


# ---------------------------------------------------------------------- between nodes


def _encoded(value: Any) -> bytes:
    encoded: bytes = value.encoded
    return encoded


def _question_entries() -> list[Entry]:
    """Every question, and every answer to every question."""
    out, pack = [], msgspec.msgpack.encode
    for kind in QUESTIONS:
        op = kind.op()
        question, raw = _asked(kind)
        seeds = [raw, *(pack(sample(kind, rnd)) for _ in range(6))]
        out.append(
            Entry(decoder=source_codec.decode_question, seeds=seeds, form="msgpack", note=op)
        )
        results = _answers(kind.answer_type(), question)
        others: list[dict[str, Any]] = [
            {"type": "refused", "message": "no", "code": -32000},
            {"type": "unavailable", "message": "later"},
            {"type": "failed"},
        ]
        out.append(
            Entry(
                decoder=source_codec.decode_answer,
                call=partial(source_codec.decode_answer, question),
                seeds=[*results, *map(pack, others)],
                form="msgpack",
                note=op,
            )
        )
    return out


def _asked(kind: type[Question[Any]]) -> tuple[Question[Any], bytes]:
    """A question of this kind that is sound, and its bytes: the arguments of most may be anything."""
    for _ in range(500):
        raw = msgspec.msgpack.encode(sample(kind, rnd))
        with contextlib.suppress(DecodeError):
            return source_codec.decode_question(raw), raw
    raise AssertionError(f"no sample of {kind.__name__} is sound")


def _answers(kind: Any, question: Question[Any]) -> list[bytes]:
    """Six of random values, at least one of which is sound."""
    found: list[bytes] = []
    for _ in range(500):
        raw = msgspec.msgpack.encode({"type": "ok", "result": sample(kind, rnd)})
        with contextlib.suppress(DecodeError):
            source_codec.decode_answer(question, raw)
            return [raw, *found[:5]]
        found.append(raw)
    raise AssertionError(f"no sample of {kind} is sound")


def _frames() -> list[bytes]:
    value = shard_app.encode_value(_shard_block(), _tails())
    return [
        wire.encode_body(message)
        for message in (
            _vote(),
            _vote(None),
            wire.ProposalMessage(proposal=_proposal(), value=value),
            wire.DecidedMessage(certificate=_certificate(), value=value),
            wire.StatusMessage(height=4),
        )
    ]


def _structs() -> list[Entry]:
    page = wire.BlocksPage(
        head=5,
        blocks=[wire.DecidedBlock(value=R(40), certificate=codec.encode_certificate(_certificate()))],
    )  # fmt: skip
    values = (
        page,
        wire.BlocksRequest(chain=1, start=5),
        wire.LaneRequest(dst=1, start=5, count=9),
        wire.LanePage(messages=[_message().encoded]),
    )
    plain = [
        Entry(
            decoder=wire.decode_struct,
            call=partial(_decode_struct, type(value)),
            seeds=[msgspec.msgpack.encode(value)],
            form="msgpack",
            errors=(DecodeError,),
            note=type(value).__name__,
        )
        for value in values
    ]
    return [
        *plain,
        Entry(
            decoder=sync.decided_of,
            call=lambda raw: sync.decided_of(wire.decode_struct(raw, wire.BlocksPage), 4),
            seeds=[msgspec.msgpack.encode(page)],
            form="msgpack",
        ),
        Entry(
            decoder=sync.decode_request, seeds=[msgspec.msgpack.encode(values[1])], form="msgpack"
        ),
    ]


def _decode_struct(kind: type[Any], raw: bytes) -> Any:
    return wire.decode_struct(raw, kind)


def _p2p(raw: bytes) -> Any:
    return FrameDecoder({1: 100, 2: 1 << 16}).feed(raw)


NETWORK = [
    Entry(
        decoder=FrameDecoder.feed,
        call=_p2p,
        seeds=[b"\0\0\0\x04\x01abcd\0\0\0\0\x02"],
        errors=(ProtocolViolation,),
    ),
    Entry(
        decoder=wire.decode_frame, seeds=[b"\0\0\0\1" + f for f in _frames()], errors=(DecodeError,)
    ),
    Entry(decoder=wire.decode_body, seeds=_frames(), again=wire.encode_body),
    Entry(
        decoder=wire.decode_transactions,
        seeds=[wire.encode_transactions(7, _transactions())],
        form="rlp",
        again=lambda value: wire.encode_transactions(*value),
    ),
    Entry(decoder=wire.decode_height, seeds=[bytes(7) + b"\x05"], again=wire.encode_height),
    *_structs(),
    *_question_entries(),
    Entry(
        decoder=tracers.unpack,
        seeds=[zlib.compress(b'[{"a":1},2]'), zlib.compress(bytes(5000))],
    ),
    Entry(
        decoder=tracers.unpack_items,
        call=lambda raw: tracers.unpack_items(raw, 2),
        seeds=[tracers.pack([{"a": 1}, 2])],
    ),
    Entry(
        decoder=reasons.reason_in,
        seeds=[
            b'{"gas":"0x1","error":"execution reverted","output":"0x00","calls":[{"gas":"0x1"}]}'
        ],
    ),
    Entry(decoder=tracers.unpack_one, seeds=[tracers.pack({"gas": 1})]),
]

# ---------------------------------------------------------------------- consensus

CONSENSUS = [
    Entry(
        decoder=codec.decode_vote,
        seeds=[codec.encode_vote(_vote()), codec.encode_vote(_vote(None))],
        errors=(CodecError,),
        again=codec.encode_vote,
    ),
    Entry(
        decoder=codec.decode_proposal,
        seeds=[codec.encode_proposal(_proposal())],
        errors=(CodecError,),
        again=codec.encode_proposal,
    ),
    Entry(
        decoder=codec.decode_certificate,
        seeds=[codec.encode_certificate(_certificate()) for _ in range(4)],
        errors=(CodecError,),
        again=codec.encode_certificate,
    ),
    Entry(
        decoder=codec.decode_evidence,
        seeds=[codec.encode_evidence(_evidence())],
        errors=(CodecError,),
        again=codec.encode_evidence,
    ),
]

# ---------------------------------------------------------------------- chains

_word = (1 << 5).to_bytes(32, "big")
CHAINS = [
    Entry(
        decoder=rlp.decode,
        seeds=[*_transactions(), rlp.encode([b"a", [b"b", [b"c" * 60]]])],
        form="rlp",
        errors=(DecodeError,),
        again=rlp.encode,
    ),
    Entry(
        decoder=rlp.decode_list, seeds=[rlp.encode([b"a", []])], form="rlp", errors=(DecodeError,)
    ),
    Entry(decoder=Header.decode, seeds=[_header().encoded], form="rlp", again=_encoded),
    Entry(
        decoder=Message.decode,
        seeds=[_message().encoded for _ in range(4)],
        form="rlp",
        again=_encoded,
    ),
    Entry(
        decoder=ShardRequests.decode,
        call=lambda raw: ShardRequests.decode([raw]),
        seeds=list(_requests().encoded),
        form="rlp",
        again=lambda value: b"".join(value.encoded),
    ),
    Entry(decoder=Crosslink.decode, seeds=[_crosslink().encoded], form="rlp", again=_encoded),
    Entry(
        decoder=Crosslink.from_items,
        call=lambda raw: Crosslink.from_items(rlp.decode(raw)),
        seeds=[_crosslink().encoded],
        form="rlp",
    ),
    Entry(
        decoder=messenger.decode_sent,
        seeds=[_word + len(m).to_bytes(32, "big") + m for m in [_message().encoded]],
    ),
    Entry(
        decoder=messenger.decode_send,
        call=lambda raw: messenger.decode_send([R(32)] * 4, raw, 0, bytes(32)),
        seeds=[R(10 * 32 + 60), bytes(320)],
    ),
    Entry(
        decoder=transaction.decode_transaction,
        seeds=_transactions(),
        form="rlp",
        again=lambda tx: tx.raw,
    ),
    Entry(
        decoder=transaction.decode_final, seeds=_transactions(), form="rlp", again=lambda tx: tx.raw
    ),
    Entry(
        decoder=transaction.decode_fields,
        call=lambda raw: transaction.decode_fields(raw, bytes(20)),
        seeds=_transactions()[:4],
        form="rlp",
        again=lambda tx: tx.raw,
    ),
    Entry(
        decoder=unsigned.decode_unsigned,
        call=lambda raw: unsigned.decode_unsigned(raw, bytes(20)),
        seeds=[
            rlp.encode([b"\x05", b"\x07", b"\x52\x08", R(20), b"\x01", b"", b"", b"", b""]),
            b"\x02"
            + rlp.encode(
                [b"\x01", b"", b"\x07", b"\x09", b"\x52\x08", R(20), b"", R(9), [], b"", b"", b""]
            ),
        ],
        form="rlp",
    ),
    Entry(
        decoder=MiningOrder.decode,
        seeds=[
            MiningOrder(name=R(8), shards=2, left=3).encoded,
            MiningOrder(name=R(8), shards=1, left=5, done=2, interval=60).encoded,
        ],
        again=_encoded,
    ),
    Entry(decoder=DevOperation.decode, seeds=_operations(), form="rlp", again=_encoded),
    Entry(
        decoder=BeaconOps.decode,
        seeds=[BeaconOps(moved=((R(20), 1),)).encoded[1:]],
        form="rlp",
        again=lambda ops: ops.encoded[1:],
    ),
    Entry(decoder=shard_block.decode_item, seeds=_shard_block().items, form="rlp"),
    Entry(decoder=ShardBlock.decode, seeds=[_shard_block().encoded], form="rlp", again=_encoded),
    Entry(decoder=Tails.decode, seeds=[_tails().encoded], form="rlp"),
    Entry(
        decoder=shard_app.decode_value,
        seeds=[shard_app.encode_value(_shard_block(), _tails())],
        form="rlp",
    ),
    Entry(
        decoder=receipts.decode_receipt,
        seeds=[_receipt().encoded, _receipt(_log()).encoded],
        form="rlp",
        again=_encoded,
    ),
    Entry(
        decoder=receipts.decode_log,
        call=lambda raw: receipts.decode_log(rlp.decode(raw)),
        seeds=[rlp.encode(_log().items())],
        form="rlp",
        errors=(DecodeError,),
    ),
    Entry(
        decoder=BeaconHeader.decode, seeds=[_beacon_header().encoded], form="rlp", again=_encoded
    ),
    Entry(
        decoder=BeaconBlock.decode,
        seeds=[_beacon_block().encoded, _beacon_block(rewind=True).encoded],
        form="rlp",
        again=_encoded,
    ),
    Entry(
        decoder=beacon_evidence.decode_item,
        seeds=[item.encoded for item in _items()],
        form="rlp",
        again=_encoded,
    ),
    Entry(
        decoder=beacon_evidence.item_from_items,
        call=lambda raw: beacon_evidence.item_from_items(rlp.decode(raw)),
        seeds=[item.encoded for item in _items()],
        form="rlp",
    ),
    Entry(decoder=Rewind.decode, seeds=[_rewind().encoded], form="rlp", again=_encoded),
    Entry(
        decoder=EraRecord.decode,
        seeds=[EraRecord(block=_beacon_block(rewind=True), certificate=_certificate()).encoded],
        form="rlp",
        again=_encoded,
    ),
]

# ---------------------------------------------------------------------- the disk

_rows = [rlp.encode([[R(20), b"\x01"], [R(20), b""]])]
_trie = [
    rlp.encode([bytes.fromhex("20") + R(31), R(40)]),
    rlp.encode([bytes.fromhex("11") + R(3), R(32)]),
    rlp.encode([R(32), *[b""] * 14, R(32), b""]),
]
_votes = [codec.encode_vote(_vote()), codec.encode_vote(_vote(None))]
_snapshot = b"\x05" + bytes(7) + b"\x09" + bytes(3) + b"\x01\x01\x00" + bytes(72) + bytes(4)
_pool = pool_file.KeptPool(genesis=R(32), era=1, transactions=_transactions())
DISK = [
    Entry(
        decoder=shard_chain._decode_requests,
        seeds=[rlp.encode(list(_requests().encoded))],
        form="rlp",
    ),
    Entry(
        decoder=shard_chain._decode_receipts,
        seeds=[rlp.encode([_receipt().encoded, _receipt(_log()).encoded])],
        form="rlp",
    ),
    Entry(decoder=beacon_chain._decode_births, seeds=_rows, form="rlp"),
    Entry(
        decoder=account.decode_account,
        seeds=[rlp.encode([b"\x01", b"\x05", R(32), R(32)])],
        form="rlp",
        errors=(CorruptData,),
    ),
    Entry(decoder=account.decode_slot, seeds=[rlp.encode(R(20)), b"\x05"], form="rlp"),
    Entry(decoder=trie_nodes.decode_node, seeds=_trie, form="rlp", errors=(CorruptData,)),
    Entry(
        decoder=journal._decode,
        seeds=[
            *(bytes([k]) + f for k in range(8) for f in (*_frames(), *_votes, R(8), R(13), R(60)))
        ],
    ),
    Entry(
        decoder=journal._decode_snapshot,
        call=lambda raw: journal._decode_snapshot(raw, iter(_votes)),
        seeds=[_snapshot[:91]],
    ),
    Entry(
        decoder=pool_file.decode_pool,
        call=lambda raw: pool_file.decode_pool(
            pool_file.MAGIC + hashlib.sha256(raw).digest() + raw  # as one who knows how would
        ),
        seeds=[rlp.encode([R(32), b"\x02", _transactions()])],
        form="rlp",
    ),
    Entry(decoder=pool_file.decode_pool, seeds=[pool_file.encode_pool(_pool)], note="any bytes"),
    Entry(
        decoder=last_signed._decode,
        call=lambda raw: last_signed._decode(raw.ljust(last_signed.SLOT_BYTES, b"\0"), 0),
        seeds=[
            last_signed._encode(last_signed._Slot(sequence=0, position=None, tail=None)),
            R(last_signed.SLOT_BYTES),
        ],
    ),
]

# ---------------------------------------------------------------------- files


def _toml_entries() -> list[Entry]:
    config = NodeConfig(name="s0v0", genesis="genesis.json", identity_key="identity.key")
    seeds = [
        render_toml(Manifest(shards=3, params={"heartbeat": 1.0})).encode(),
        render_toml(config).encode(),
        b'[[peers]]\nname = "a"\n[rpc]\nport = 1\nallowed_hosts = ["~x", "b"]\n',
    ]

    def struct(kind: Any) -> Callable[[bytes], Any]:
        return lambda raw: toml.parse_toml(raw.decode("utf-8", "replace"), kind)

    kinds = (Manifest, NodeConfig)
    return [
        Entry(decoder=toml.toml_document, seeds=seeds),
        *(
            Entry(
                decoder=toml._converted,
                call=struct(kind),
                seeds=seeds,
                errors=(UserError,),
                note=kind.__name__,
            )
            for kind in kinds
        ),
    ]


def _faults() -> list[bytes]:
    """Some that are within the bounds of their numbers, which samples may not be."""
    made = (msgspec.json.encode([sample(ActiveFault, rnd)]) for _ in range(100))
    sound = [raw for raw in made if _is_read(raw)]
    assert sound
    return sound[:5]


def _is_read(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=list[ActiveFault])
    except msgspec.ValidationError:
        return False
    return True


_types = ("uint256", "(bytes,string)[]", "address")
FILES = [
    *_toml_entries(),
    Entry(decoder=genesis.decode_genesis, seeds=[msgspec.json.encode(_genesis())], form="json"),
    Entry(
        decoder=light_codec.decode_proof,
        seeds=[msgspec.json.encode(light_codec.proof_document(_proof()))],
        form="json",
    ),
    Entry(decoder=archive.decode_contents, seeds=[msgspec.json.encode(_contents())], form="json"),
    Entry(decoder=fault_book._decoded, seeds=_faults(), form="json"),
    Entry(
        decoder=abi.decode_result,
        call=lambda raw: abi.decode_result(_types, raw),
        seeds=[bytes(31) + b"\1" + bytes(31) + b"\x60" + bytes(12) + R(20) + bytes(32)],
    ),
    Entry(
        decoder=abi.parse_signature,
        call=lambda raw: abi.parse_signature(raw.decode("utf-8", "replace")),
        seeds=[b"transfer(address,uint256)(bool)", b"f((uint8,(bytes,string[3])[])[2])"],
    ),
    Entry(
        decoder=abi.encode_arguments,
        call=lambda raw: abi.encode_arguments(
            ["(uint8,string)[]", "bytes4"], raw.decode("utf-8", "replace").split("|")
        ),
        seeds=[b'[[1,"a"],["0x2","b"]]|0x01020304'],
    ),
]  # fmt: skip

ENTRIES: list[Entry] = [*NETWORK, *CONSENSUS, *CHAINS, *DISK, *FILES]
assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
