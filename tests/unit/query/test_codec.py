"""The shard port over the network: the whole language, and input that wants to hurt."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.execution.evm.overrides import BlockOverride, StateOverride
from node.execution.evm.simulate import Credit, SimulatedCall
from node.execution.state.guests import MAX_WANTED, Guest, Guests, Wanted
from node.primitives.errors import DecodeError
from node.primitives.fields import U256, Word
from node.primitives.transaction import Authorization
from node.query import questions as q
from node.query.call_specs import (
    Accessed,
    BlockReport,
    CallOutcome,
    SimulationSpec,
    SpanningOutcome,
    TracedItem,
    TraceSpec,
)
from node.query.codec import TOO_LARGE, decode_answer, decode_question, encode_question, serve
from node.query.local import handled
from node.query.parts import ask_in_flight, ask_legs
from node.query.port import (
    MAX_PROOF_NODES,
    AccountAt,
    Delivery,
    Departure,
    LaneKey,
    Leg,
    MessageAt,
    PoolCounts,
    PoolDump,
    PoolNews,
    ProvenAccount,
    ProvenGuests,
    RawBlock,
    Refused,
    ShardUnavailable,
    SlotProof,
    Supply,
)
from node.query.questions import (
    MAX_LEGS,
    MAX_MESSAGES,
    QUESTIONS,
    AccountQuestion,
    CallQuestion,
    HeadQuestion,
    LegsQuestion,
    SubmitQuestion,
)
from node.query.records import (
    BlockBrief,
    DeliveryRecord,
    ItemRecord,
    LaneEnds,
    LogRecord,
    MessageBrief,
    SentRecord,
    ShardLanes,
    Traffic,
)
from node.query.remote import RemoteSource
from node.shard.simulated import Block, Call
from rpc import times
from rpc.limits import SPAN
from rpc.threads import Threads

ADDRESS, HASH = b"\1" * 20, b"\2" * 32
BRIEF = MessageBrief(
    id=HASH,
    src=0,
    dst=1,
    seq=2,
    kind=0,
    sender=ADDRESS,
    to=ADDRESS,
    value=b"\1",
    gas=3,
    gas_price=b"",
    refund_to=ADDRESS,
    reply_gas=0,
    callback=b"",
    in_reply_to=b"",
    origin_tx=HASH,
    depth=0,
    selector=b"data",
    size=4,
)
ITEM = ItemRecord(
    height=1,
    index=0,
    block_hash=HASH,
    hash=HASH,
    kind=2,
    sender=ADDRESS,
    to=b"",
    value=b"",
    gas=5,
    success=True,
    gas_used=4,
    departed=False,
    forwarded=False,
    sent=[BRIEF],
    sent_count=1,
    logs=[LogRecord(address=ADDRESS, topics=[HASH], data=b"data")],
    log_count=1,
)
LEG = Leg(height=3, index=1, raw=b"raw", gas_used=21_000, departure=Departure(dst=1, seq=9))
WORD = Word.from_bytes(HASH, "big")
BARE = SimulatedCall(sender=ADDRESS, to=None, gas=5)
SPEC = SimulatedCall(
    sender=ADDRESS,
    to=b"\3" * 20,
    value=U256(256),
    data=b"data",
    gas=5,
    gas_price=U256(7),
    access_list=((ADDRESS, (WORD,)),),
    authorizations=(
        Authorization(
            chain_id=U256(1337), address=ADDRESS, nonce=0, y_parity=1, r=U256(1), s=U256(2)
        ),
    ),
    accounts=(
        StateOverride(
            address=ADDRESS,
            balance=U256(1),
            nonce=4,
            code=b"\xfe",
            storage=((WORD, Word(5)),),
            replace_storage=True,
            moved_to=b"\3" * 20,
        ),
        StateOverride(address=b"\4" * 20, balance=U256(0)),
    ),
    block=BlockOverride(
        number=7,
        time=8,
        gas_limit=9,
        fee_recipient=ADDRESS,
        prev_randao=HASH,
        base_fee=U256(1),
        blob_base_fee=U256(0),
    ),
    credit=Credit(balance=U256(9), base_fee=U256(1)),
)
BLOCKS = SimulationSpec(
    blocks=[
        Block(
            calls=(Call(call=BARE, type=2, tip=U256(1), gas=3, nonce=2),),
            accounts=(StateOverride(address=ADDRESS),),
            block=BlockOverride(base_fee=U256(1)),
        ),
        Block(),
    ],
    guests=(StateOverride(address=b"\4" * 20, balance=U256(9), nonce=1),),
    beacon=3,
    validation=True,
    trace_transfers=True,
)
WANTED = Wanted(address=ADDRESS, code=True, slots=(WORD,))
GUESTS = Guests(
    accounts=(
        Guest(
            address=ADDRESS,
            nonce=1,
            balance=U256(7),
            storage_root=HASH,
            code_hash=HASH,
            slots=((WORD, Word(5)),),
        ),
    ),
    codes=(b"code",),
)
ASKED_GUESTS = q.GuestsQuestion(height=5, wanted=[WANTED])
ASKED_CALL = q.SpanningCallQuestion(height=5, spec=SPEC, beacon=4, guests=GUESTS)
ASKED = [
    (q.HeadQuestion(), 7),
    (
        q.AccountQuestion(height=5, address=ADDRESS, code=True),
        AccountAt(nonce=1, balance=b"\xff" * 32, code=b"code"),
    ),
    (q.StorageQuestion(height=5, address=ADDRESS, slot=HASH), b"\3" * 32),
    (q.BlockQuestion(height=5), RawBlock(block=b"block", receipts=[b"a", b"b"])),
    (q.HeightOfQuestion(block_hash=HASH), None),
    (q.LegQuestion(tx_hash=HASH), LEG),
    (q.LegsQuestion(tx_hashes=[HASH, HASH]), [LEG, None]),
    (q.DeliveryQuestion(src=0, seq=4), Delivery(height=1, index=2, success=False, gas_used=3)),
    (
        q.CallQuestion(height=5, spec=SPEC),
        CallOutcome(error="execution reverted", output=b"why", gas_used=1),
    ),
    (
        ASKED_CALL,
        SpanningOutcome(wanted=[WANTED]),
    ),
    (ASKED_GUESTS, ProvenGuests(nodes=[b"node"], codes=[b"code"])),
    (q.EstimateQuestion(height=5, spec=SPEC), CallOutcome(error=None, output=b"", gas_used=21_000)),
    (
        q.AccessListQuestion(height=5, spec=SPEC),
        Accessed(
            access_list=[(ADDRESS, [HASH])],
            outcome=CallOutcome(error=None, output=b"", gas_used=1),
        ),
    ),
    (
        q.SimulateQuestion(
            height=5,
            spec=BLOCKS,
        ),
        [BlockReport(header=b"header", calls=[])],
    ),
    (
        q.TraceItemsQuestion(
            height=5, items=[TracedItem(index=1, paid=2)], trace=TraceSpec(tracer="callTracer")
        ),
        b"packed",
    ),
    (q.TraceCallQuestion(height=5, spec=SPEC, trace=TraceSpec(stack=False)), b"packed"),
    (
        q.ProveQuestion(height=5, address=ADDRESS, slots=[HASH]),
        ProvenAccount(
            nonce=1,
            balance=b"\1",
            code_hash=HASH,
            storage_root=HASH,
            proof=[b"node"],
            slots=[SlotProof(slot=HASH, value=b"\1", proof=[b"node"])],
        ),
    ),
    (
        q.PoolContentQuestion(sender=ADDRESS),
        PoolDump(pending=[b"raw"], queued=[], reasons={HASH: "full"}),
    ),
    (q.PoolNewsQuestion(epoch=1, position=2), PoolNews(epoch=1, position=3, hashes=[HASH])),
    (q.SubmitQuestion(raw=b"raw", known=7), HASH),
    (q.PoolNonceQuestion(address=ADDRESS, known=7), 3),
    (q.PooledQuestion(tx_hash=HASH), b"raw"),
    (q.PoolCountsQuestion(), PoolCounts(pending=1, queued=2)),
    (q.FindMessageQuestion(message_id=HASH), LaneKey(src=0, dst=1, seq=2)),
    (q.SentQuestion(dst=1, seq=2), MessageAt(height=1, index=0, message=b"message")),
    (q.ItemQuestion(height=1, index=0), ITEM),
    (q.ArrivalQuestion(src=1, seq=2, logs=True), ITEM),
    (q.BlockBriefQuestion(height=5), BlockBrief(header=b"header", transactions=2, arrivals=1)),
    (
        q.TrafficQuestion(height=5),
        Traffic(
            block_hash=HASH,
            anchor=HASH,
            sent=[SentRecord(index=0, message=BRIEF)],
            delivered=[
                DeliveryRecord(index=1, message=BRIEF, success=True, forwarded=False, gas_used=4)
            ],
        ),
    ),
    (
        q.LanesQuestion(),
        ShardLanes(
            height=7,
            lanes=[
                LaneEnds(
                    peer=1,
                    sent=2,
                    sent_asked=1,
                    sent_gas=5,
                    consumed=3,
                    consumed_asked=2,
                    consumed_gas=4,
                )
            ],
        ),
    ),
    (q.InFlightQuestion(dst=1, start=2, stop=3), b"\5"),
    (q.SupplyQuestion(height=5), Supply(balances=b"\1", burned=b"")),
]
"""Each question with an answer of it."""


class Recording:
    """Answers every question with what it is told to, and remembers it."""

    def __init__(self, result):
        self.result = result
        self.asked = []

    async def ask(self, question):
        self.asked.append(question)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def over_the_wire(source) -> RemoteSource:
    async def ask(payload, seconds):
        assert seconds > 0
        return await serve(source, payload, Threads(1))

    return RemoteSource(3, ask)


def test_every_question_has_a_handler_and_limits_and_is_tried_here():
    assert handled() == frozenset(QUESTIONS)
    assert {type(question) for question, _ in ASKED} == set(QUESTIONS)
    assert len({kind.op() for kind in QUESTIONS}) == len(QUESTIONS)
    for kind in QUESTIONS:
        assert 0 < kind.largest <= q.LARGEST
        assert kind.patience in (times.LOOK_UP, times.BULK, times.EXECUTE)
        assert not kind.executes or kind.patience is times.EXECUTE
        assert kind.answer_type() is not None


@pytest.mark.parametrize(("question", "result"), ASKED, ids=lambda value: type(value).__name__)
async def test_every_question_travels(question, result):
    source = Recording(result)
    assert await over_the_wire(source).ask(question) == result
    assert source.asked == [question]
    assert decode_question(encode_question(question)) == question


@pytest.mark.parametrize(
    ("question", "encoded"),
    [
        (
            CallQuestion(height=5, spec=SPEC),
            "83a26f70a463616c6ca668656967687405a4737065638ba673656e646572c41401010101010101010101"
            "01010101010101010101a2746fc4140303030303030303030303030303030303030303a576616c7565c4"
            "020100a464617461c40464617461a367617305a96761735f7072696365c40107ab6163636573735f6c69"
            "73749192c414010101010101010101010101010101010101010191c42002020202020202020202020202"
            "02020202020202020202020202020202020202ae617574686f72697a6174696f6e739186a8636861696e"
            "5f6964c4020539a761646472657373c4140101010101010101010101010101010101010101a56e6f6e63"
            "6500a8795f70617269747901a172c40101a173c40102a86163636f756e74739287a761646472657373c4"
            "140101010101010101010101010101010101010101a762616c616e6365c40101a56e6f6e636504a4636f"
            "6465c401fea773746f726167659192c42002020202020202020202020202020202020202020202020202"
            "02020202020202c4200000000000000000000000000000000000000000000000000000000000000005af"
            "7265706c6163655f73746f72616765c3a86d6f7665645f746fc414030303030303030303030303030303"
            "030303030387a761646472657373c4140404040404040404040404040404040404040404a762616c616e"
            "6365c400a56e6f6e6365c0a4636f6465c0a773746f7261676590af7265706c6163655f73746f72616765"
            "c2a86d6f7665645f746fc0a5626c6f636b87a66e756d62657207a474696d6508a96761735f6c696d6974"
            "09ad6665655f726563697069656e74c4140101010101010101010101010101010101010101ab70726576"
            "5f72616e64616fc4200202020202020202020202020202020202020202020202020202020202020202a8"
            "626173655f666565c40101ad626c6f625f626173655f666565c400a663726564697482a762616c616e63"
            "65c40109a8626173655f666565c40101",
        ),
        (
            CallQuestion(height=5, spec=BARE),
            "83a26f70a463616c6ca668656967687405a4737065638ba673656e646572c41401010101010101010101"
            "01010101010101010101a2746fc0a576616c7565c400a464617461c400a367617305a96761735f707269"
            "6365c400ab6163636573735f6c69737490ae617574686f72697a6174696f6e7390a86163636f756e7473"
            "90a5626c6f636bc0a6637265646974c0",
        ),
        (
            q.SimulateQuestion(height=5, spec=BLOCKS),
            "83a26f70af73696d756c6174655f626c6f636b73a668656967687405a47370656385a6626c6f636b7392"
            "83a563616c6c739185a463616c6c8ba673656e646572c414010101010101010101010101010101010101"
            "0101a2746fc0a576616c7565c400a464617461c400a367617305a96761735f7072696365c400ab616363"
            "6573735f6c69737490ae617574686f72697a6174696f6e7390a86163636f756e747390a5626c6f636bc0"
            "a6637265646974c0a47479706502a3746970c40101a367617303a56e6f6e636502a86163636f756e7473"
            "9187a761646472657373c4140101010101010101010101010101010101010101a762616c616e6365c0a5"
            "6e6f6e6365c0a4636f6465c0a773746f7261676590af7265706c6163655f73746f72616765c2a86d6f76"
            "65645f746fc0a5626c6f636b87a66e756d626572c0a474696d65c0a96761735f6c696d6974c0ad666565"
            "5f726563697069656e74c0ab707265765f72616e64616fc0a8626173655f666565c40101ad626c6f625f"
            "626173655f666565c083a563616c6c7390a86163636f756e747390a5626c6f636bc0a667756573747391"
            "87a761646472657373c4140404040404040404040404040404040404040404a762616c616e6365c40109"
            "a56e6f6e636501a4636f6465c0a773746f7261676590af7265706c6163655f73746f72616765c2a86d6f"
            "7665645f746fc0a6626561636f6e03aa76616c69646174696f6ec3af74726163655f7472616e73666572"
            "73c3",
        ),
    ],
    ids=["call", "bare call", "blocks"],
)
def test_calls_travel_as_these_bytes(question, encoded):
    assert encode_question(question).hex() == encoded
    assert decode_question(bytes.fromhex(encoded)) == question


async def test_refusals_travel_and_bugs_stay_at_home():
    with pytest.raises(Refused, match="nonce too low") as caught:
        await over_the_wire(Recording(Refused("nonce too low", -32010))).ask(
            SubmitQuestion(raw=b"raw")
        )
    assert caught.value.code == -32010
    with pytest.raises(ShardUnavailable, match="behind"):
        await over_the_wire(Recording(ShardUnavailable("behind"))).ask(HeadQuestion())
    with pytest.raises(ShardUnavailable, match="internal error") as bug:
        await over_the_wire(Recording(KeyError("a secret path"))).ask(HeadQuestion())
    assert "secret" not in str(bug.value)


HOSTILE = [
    b"",
    b"\xc1",
    b"\x80",
    msgspec.msgpack.encode({"op": "drop_tables"}),
    msgspec.msgpack.encode({"op": "__init__", "shard": 1}),
    msgspec.msgpack.encode({"op": "head", "more": 1}),
    msgspec.msgpack.encode({"op": "account", "height": -1, "address": ADDRESS, "code": True}),
    msgspec.msgpack.encode({"op": "account", "height": 2**63, "address": ADDRESS, "code": True}),
    msgspec.msgpack.encode({"op": "account", "height": "5", "address": ADDRESS, "code": True}),
    msgspec.msgpack.encode({"op": "account", "height": 1, "address": b"\1" * 21, "code": True}),
    msgspec.msgpack.encode({"op": "legs", "tx_hashes": [HASH] * (MAX_LEGS + 1)}),
    msgspec.msgpack.encode({"op": "delivery", "src": 1 << 16, "seq": 0}),
    msgspec.msgpack.encode({"op": "in_flight", "dst": 1, "start": 0, "stop": MAX_MESSAGES + 1}),
    msgspec.msgpack.encode({"op": "in_flight", "dst": 1, "start": 1, "stop": 0}),
    msgspec.msgpack.encode({"op": "submit", "raw": bytes(129 * 1024)}),
    bytes(1100 * 1024),
    b"\x91" * 5000,
]


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_questions_reach_no_method(payload):
    source = Recording(1)
    answer = await serve(source, payload, Threads(1))
    assert source.asked == []
    with pytest.raises(Refused) as caught:
        decode_answer(HeadQuestion(), answer)
    assert caught.value.code == -32602


@pytest.mark.parametrize(
    "change",
    [
        {"sender": b"\1"},
        {"to": b""},
        {"value": U256(1 << 256)},
        {"gas_price": U256(1 << 256)},
        {"gas": -1},
        {"access_list": ((b"\1", ()),)},
        {"access_list": ((ADDRESS, (U256(1),)),)},
        {"access_list": ((ADDRESS, (WORD,) * 10_001),)},
    ],
)
async def test_a_call_that_is_none_is_refused_on_both_sides(change):
    spec = replace(SPEC, **change)
    source = Recording(CallOutcome(error=None, output=b"", gas_used=0))
    with pytest.raises(Refused):
        await over_the_wire(source).ask(CallQuestion(height=1, spec=spec))
    with pytest.raises(DecodeError):
        decode_question(encode_question(CallQuestion(height=1, spec=spec)))
    assert source.asked == []


def wants(count, slots=1):
    """As many accounts with as many slots each."""
    numbers = range(1, count + 1)
    words = tuple(Word(n) for n in range(slots))
    return [Wanted(address=n.to_bytes(20, "big"), slots=words) for n in numbers]


def guests(count, slots=1):
    pairs = tuple((Word(n), Word(n)) for n in range(slots))
    numbers = range(1, count + 1)
    return Guests(
        accounts=tuple(Guest(address=n.to_bytes(20, "big"), slots=pairs) for n in numbers)
    )


@pytest.mark.parametrize(
    "question",
    [
        q.GuestsQuestion(height=1, wanted=wants(SPAN.accounts + 1, 0)),
        q.GuestsQuestion(height=1, wanted=wants(5, SPAN.slots // 4)),
        q.GuestsQuestion(height=1, wanted=wants(1, MAX_WANTED + 1)),
        q.SpanningCallQuestion(height=1, spec=BARE, beacon=1, guests=guests(SPAN.accounts + 1, 0)),
        q.SpanningCallQuestion(height=1, spec=BARE, beacon=1, guests=guests(1, SPAN.slots + 1)),
        q.SpanningCallQuestion(
            height=1, spec=BARE, beacon=1, guests=Guests(codes=(bytes(SPAN.code_size + 1),))
        ),
        q.SpanningCallQuestion(
            height=1, spec=BARE, beacon=1, guests=Guests(codes=(b"",) * (SPAN.accounts + 1))
        ),
        q.SpanningCallQuestion(
            height=1, spec=replace(SPEC, access_list=((ADDRESS, (WORD,) * 10_001),)), beacon=1
        ),
    ],
    ids=["accounts", "slots", "slots of one", "guests", "their slots", "code", "codes", "call"],
)
async def test_more_of_other_shards_than_a_call_may_read_reaches_no_method(question):
    source = Recording(None)
    answer = await serve(source, encode_question(question), Threads(1))
    with pytest.raises(Refused) as caught:
        decode_answer(question, answer)
    assert caught.value.code == -32602
    assert source.asked == []


@pytest.mark.parametrize(
    ("question", "result"),
    [
        (ASKED_GUESTS, {"nodes": [b""] * (MAX_PROOF_NODES + 1), "codes": []}),
        (ASKED_GUESTS, {"nodes": [], "codes": [b""] * (SPAN.accounts + 1)}),
        (ASKED_GUESTS, {"nodes": [bytes(SPAN.proof_size)], "codes": []}),
        (ASKED_CALL, {"outcome": None, "wanted": [{"address": ADDRESS}] * (MAX_WANTED + 1)}),
        (ASKED_CALL, {"outcome": None, "wanted": [{"address": b"short"}]}),
        (ASKED_CALL, {"outcome": None, "wanted": [{"address": ADDRESS, "slots": [b"short"]}]}),
    ],
    ids=["nodes", "codes", "bytes", "wanted", "no address", "no slot"],
)
def test_an_answer_is_held_to_its_limits(question, result):
    with pytest.raises(DecodeError):
        decode_answer(question, ok(result))


def ok(result) -> bytes:
    return msgspec.msgpack.encode({"type": "ok", "result": result})


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xc0",
        ok("seven"),
        ok(-1),
        ok(1 << 63),
        ok([1]),
        bytes(5000),
        msgspec.msgpack.encode({"type": "ok"}),
        msgspec.msgpack.encode({"type": "maybe"}),
        msgspec.msgpack.encode({"type": "refused", "message": "x" * 5000, "code": 1}),
        b"\x81" * 4000,
    ],
)
async def test_hostile_answers_make_a_shard_unavailable(answer):
    asked = []

    async def ask(payload, seconds):
        asked.append(payload)
        return answer

    with pytest.raises(ShardUnavailable, match="shard 3 answered nonsense"):
        await RemoteSource(3, ask).ask(HeadQuestion())
    assert len(asked) == 2  # the next node may do better


def test_numbers_inside_answers_are_counts():
    question = LegsQuestion(tx_hashes=[HASH])
    bad = {"height": -5, "index": 0, "raw": b"", "gas_used": 0}
    with pytest.raises(DecodeError, match="out of range"):
        decode_answer(question, ok([bad]))


async def test_a_second_node_is_asked_when_the_first_is_behind():
    answers = [
        msgspec.msgpack.encode({"type": "unavailable", "message": "behind"}),
        ok(9),
    ]

    async def ask(payload, seconds):
        return answers.pop(0)

    assert await RemoteSource(3, ask).ask(HeadQuestion()) == 9


async def test_legs_are_asked_for_in_parts_and_in_smaller_ones_when_they_are_large():
    asked = []

    class Large:
        async def ask(self, question):
            count = len(question.tx_hashes)
            asked.append(count)
            if count > 100:
                raise Refused("the answer is too large", TOO_LARGE)
            return [None] * count

    found = await ask_legs(over_the_wire(Large()), [HASH] * (MAX_LEGS + 5))
    assert found == [None] * (MAX_LEGS + 5)
    assert asked == [256, 128, 64, 64, 128, 64, 64, 5]


async def test_legs_of_other_transactions_are_not_taken():
    with pytest.raises(ShardUnavailable, match="other transactions"):
        await ask_legs(over_the_wire(Recording([None])), [HASH, HASH])


async def test_an_answer_too_large_to_send_is_refused():
    source = Recording(AccountAt(nonce=0, balance=b"", code=bytes(80 * 1024)))
    with pytest.raises(Refused, match="too large"):
        await over_the_wire(source).ask(AccountQuestion(height=1, address=ADDRESS, code=True))


async def test_long_lanes_are_summed_in_parts():
    class Wei:
        async def ask(self, question):
            return (question.stop - question.start).to_bytes(4, "big")

    source = over_the_wire(Wei())
    assert await ask_in_flight(source, 1, 5, 5 + 2 * MAX_MESSAGES + 3) == 2 * MAX_MESSAGES + 3
    assert await ask_in_flight(source, 1, 5, 5) == 0


@given(st.binary(max_size=300))
@example(encode_question(AccountQuestion(height=1, address=ADDRESS, code=False)))
def test_arbitrary_bytes_are_a_question_or_a_decode_error(payload):
    try:
        question = decode_question(payload)
    except DecodeError:
        return
    assert decode_question(encode_question(question)) == question


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_an_answer_or_a_known_error(payload):
    question = AccountQuestion(height=1, address=ADDRESS, code=False)
    with pytest.raises((DecodeError, Refused, ShardUnavailable)):
        decode_answer(question, payload)
