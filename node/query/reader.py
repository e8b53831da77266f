"""Reading off a shard's chain: blocks, what their items did, proofs, and the shard's wei.

Meant for a thread, as senders are recovered here.
"""

from collections.abc import Iterable, Sequence

from node.execution.state.account import EMPTY_ACCOUNT, decode_account
from node.execution.state.receipts import Log, Receipt
from node.execution.trie.trie_proof import iterate, prove
from node.light.receipts import announced
from node.primitives import rlp
from node.primitives.basics import ShardId, keccak_fast
from node.primitives.dev_operation import DEV_OPERATION_TYPE, DevOperation
from node.primitives.header import Header
from node.primitives.message import Message
from node.primitives.transaction import Transaction, decode_transaction
from node.query import legs
from node.query.port import (
    BUSY,
    Delivery,
    Departure,
    Leg,
    ProvenAccount,
    ProvenGuests,
    RawBlock,
    Refused,
    ShardUnavailable,
    SlotProof,
    Supply,
)
from node.query.questions import GuestsQuestion, InFlightQuestion, ProveQuestion
from node.query.records import (
    MAX_LOG_BYTES,
    MAX_LOGS,
    MAX_SENT,
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
from node.shard import messenger
from node.shard.block import ARRIVAL_TYPE, BEACON_OPS_TYPE, BeaconOps, decode_item, item_name
from node.shard.chain import ShardChain
from rpc.limits import SPAN


def read_block(chain: ShardChain, height: int) -> RawBlock | None:
    """A block as it is stored, None above the head."""
    block = chain.block(height)
    if block is None:
        return None
    receipts = [receipt.encoded for receipt in chain.receipts(height)]
    return RawBlock(block=block.encoded, receipts=receipts)


def read_leg(chain: ShardChain, tx_hash: bytes) -> Leg | None:
    """The leg of a transaction, None if no block has it."""
    place = chain.find_transaction(tx_hash)
    if place is None:
        return None
    height, index = place
    block = chain.block(height)
    if block is None:  # it is being committed just now
        return None
    raw = block.items[index]
    receipts = chain.receipts(height)
    sent = None
    if any(messenger.is_sent_log(log) for log in receipts[index].logs):
        recent = chain.recent(height)
        tx = decode_transaction(raw) if recent is None else recent.items[index]
        if isinstance(tx, Transaction):
            sent = legs.departure(tx, receipts[index])
    return Leg(
        height=height,
        index=index,
        raw=raw,
        gas_used=legs.gas_used(receipts, index),
        departure=_departure(sent),
    )


def read_delivery(chain: ShardChain, src: ShardId, seq: int) -> Delivery | None:
    """The delivery of a message, None before it is delivered."""
    place = chain.delivered(src, seq)
    if place is None:
        return None
    height, index = place
    block = chain.block(height)
    if block is None:
        return None
    receipts = chain.receipts(height)
    onward = legs.forwarded(Message.decode(block.items[index][1:]), receipts[index])
    return Delivery(
        height=height,
        index=index,
        success=receipts[index].status == 1,
        gas_used=legs.gas_used(receipts, index),
        forwarded=_departure(onward),
    )


def _departure(sent: Message | None) -> Departure | None:
    return None if sent is None else Departure(dst=sent.dst, seq=sent.seq)


def prove_account(chain: ShardChain, header: Header, question: ProveQuestion) -> ProvenAccount:
    """An account and slots at a header, with their proofs."""
    state, read = chain.state(header), chain.read_node
    address = question.address
    account = state.account(address) or EMPTY_ACCOUNT
    return ProvenAccount(
        nonce=account.nonce,
        balance=rlp.int_to_bytes(account.balance),
        code_hash=account.code_hash,
        storage_root=account.storage_root,
        proof=list(prove(read, header.state_root, keccak_fast(address))),
        slots=[
            SlotProof(
                slot=slot,
                value=rlp.int_to_bytes(state.storage(address, int.from_bytes(slot, "big"))),
                proof=list(prove(read, account.storage_root, keccak_fast(slot))),
            )
            for slot in question.slots
        ],
    )


def prove_guests(chain: ShardChain, header: Header, question: GuestsQuestion) -> ProvenGuests:
    """Accounts at a header with slots and codes. Raises Refused for more code than a call may have."""
    state, read = chain.state(header), chain.read_node
    nodes: dict[bytes, None] = {}
    codes: dict[bytes, bytes] = {}
    size = 0
    for wanted in question.wanted:
        account = state.account(wanted.address) or EMPTY_ACCOUNT
        nodes |= dict.fromkeys(prove(read, header.state_root, keccak_fast(wanted.address)))
        for slot in wanted.slots:
            key = keccak_fast(slot.to_bytes(32, "big"))
            nodes |= dict.fromkeys(prove(read, account.storage_root, key))
        if wanted.code and account.code_hash not in codes:
            codes[account.code_hash] = code = state.code(wanted.address)
            size += len(code)
            if size > SPAN.code_size:
                raise Refused(
                    f"the call needs more than {SPAN.code_size} bytes of code of other shards", BUSY
                )
    return ProvenGuests(nodes=list(nodes), codes=[code for code in codes.values() if code])


def read_in_flight(chain: ShardChain, question: InFlightQuestion) -> int:
    """Wei of messages of a lane. Raises ShardUnavailable where not all of them were sent here yet."""
    total, seq = 0, question.start
    dst, count = ShardId(question.dst), question.stop - question.start
    for raw in chain.sent_range(dst, question.start, count):
        total += Message.decode(raw).in_flight_wei
        seq += 1
    if seq < question.stop:
        raise ShardUnavailable(
            f"shard {chain.shard} has not sent message {seq} to shard {dst} here yet"
        )
    return total


def brief(message: Message) -> MessageBrief:
    return MessageBrief(
        id=message.id,
        src=message.src,
        dst=message.dst,
        seq=message.seq,
        kind=message.kind,
        sender=message.sender,
        to=message.to,
        value=rlp.int_to_bytes(message.value),
        gas=message.gas,
        gas_price=rlp.int_to_bytes(message.gas_price),
        refund_to=message.refund_to,
        reply_gas=message.reply_gas,
        callback=message.callback,
        in_reply_to=message.in_reply_to,
        origin_tx=message.origin_tx,
        depth=message.depth,
        selector=message.data[:4],
        size=len(message.data),
    )


def read_item(chain: ShardChain, height: int, index: int, *, logs: bool) -> ItemRecord | None:
    """An item of a decided block, None where there is no such one."""
    block = chain.block(height)
    if block is None or not 0 <= index < len(block.items):
        return None
    raw = block.items[index]
    item = decode_item(raw)
    receipts = chain.receipts(height)
    receipt = receipts[index]
    sent = list(announced(receipt))
    own = legs.own_logs(receipt.logs)
    departed = forwarded = False
    kind, sender, to, value, gas = BEACON_OPS_TYPE, b"", b"", 0, 0
    if isinstance(item, DevOperation):
        kind, to = DEV_OPERATION_TYPE, item.to if item.has_account else b""
    elif not isinstance(item, BeaconOps):
        kind = item.type if isinstance(item, Transaction) else ARRIVAL_TYPE
        sender, to, value, gas = item.sender, item.to or b"", item.value, item.gas
        if isinstance(item, Transaction):
            departed = legs.departure(item, receipt) is not None
        else:
            forwarded = legs.forwarded(item, receipt) is not None
    return ItemRecord(
        height=height,
        index=index,
        block_hash=block.header.hash,
        hash=item_name(item, raw, chain.shard, height),
        kind=kind,
        sender=sender,
        to=to,
        value=rlp.int_to_bytes(value),
        gas=gas,
        success=receipt.status == 1,
        gas_used=legs.gas_used(receipts, index),
        departed=departed,
        forwarded=forwarded,
        sent=[brief(message) for message in sent[:MAX_SENT]],
        sent_count=len(sent),
        logs=_first_logs(own) if logs else [],
        log_count=len(own),
    )


def _first_logs(logs: Iterable[Log]) -> list[LogRecord]:
    out: list[LogRecord] = []
    size = 0
    for log in logs:
        size += len(log.data)
        if len(out) == MAX_LOGS or size > MAX_LOG_BYTES:
            break
        out.append(LogRecord(address=log.address, topics=list(log.topics), data=log.data))
    return out


def read_block_brief(chain: ShardChain, height: int) -> BlockBrief | None:
    """A block without its body, None above the head."""
    block = chain.block(height)
    if block is None:
        return None
    kinds = [raw[0] for raw in block.items]
    arrivals = kinds.count(ARRIVAL_TYPE)
    return BlockBrief(
        header=block.header.encoded,
        transactions=len(kinds) - arrivals - kinds.count(BEACON_OPS_TYPE),
        arrivals=arrivals,
    )


def read_traffic(chain: ShardChain, height: int) -> Traffic | None:
    """The messages of a block, None above the head."""
    block = chain.block(height)
    if block is None:
        return None
    receipts = chain.receipts(height)
    return Traffic(
        block_hash=block.header.hash,
        anchor=block.header.parent_beacon_block_root,
        sent=[
            SentRecord(index=index, message=brief(message))
            for index, message in chain.sent_in(height)
        ],
        delivered=[
            _delivery(raw, receipts, index)
            for index, raw in enumerate(block.items)
            if raw[0] == ARRIVAL_TYPE
        ],
    )


def _delivery(raw: bytes, receipts: Sequence[Receipt], index: int) -> DeliveryRecord:
    message = Message.decode(raw[1:])
    return DeliveryRecord(
        index=index,
        message=brief(message),
        success=receipts[index].status == 1,
        forwarded=legs.forwarded(message, receipts[index]) is not None,
        gas_used=legs.gas_used(receipts, index),
    )


def read_lanes(chain: ShardChain) -> ShardLanes:
    """This shard's ends of all its lanes, at its head."""
    head = chain.head
    state = chain.state(head)
    return ShardLanes(
        height=head.number,
        lanes=[
            LaneEnds(
                peer=peer,
                sent=outbox.count,
                sent_asked=outbox.asked,
                sent_gas=outbox.gas,
                consumed=inbox.count,
                consumed_asked=inbox.asked,
                consumed_gas=inbox.gas,
            )
            for peer in range(chain.rules.shards)
            if peer != chain.shard
            for outbox in [messenger.outbox(state, ShardId(peer))]
            for inbox in [messenger.inbox(state, ShardId(peer))]
        ],
    )


def read_supply(chain: ShardChain, header: Header) -> Supply:
    """All wei of the shard at a header: a walk over its whole state."""
    state = chain.state(header)
    entries = iterate(chain.read_node, header.state_root)
    balances = sum(decode_account(value).balance for _, value in entries)
    return Supply(
        balances=rlp.int_to_bytes(balances),
        burned=rlp.int_to_bytes(messenger.burned(state)),
        issued=messenger.issued(state).to_bytes(32, "big", signed=True),
    )
