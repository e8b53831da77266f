"""Transactions between pools, the shard as an application, and what keeps a proposer going."""

import errno
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing
from eth_account import Account
from trio.testing import MockClock

from consensus.types import Address as ValidatorAddress
from consensus.types import Certificate, Height, Round, Validator, ValidatorSet
from node.beacon.block import BeaconBlock
from node.beacon.chain import BeaconChain
from node.beacon.rules import BeaconRules
from node.beacon.state import BeaconState
from node.beacon.transition import genesis_block
from node.chains.beacon_app import BeaconService
from node.chains.paced_build import Paced, build_block
from node.chains.shard_app import (
    ARRIVAL_SECONDS,
    SLOWER,
    ShardService,
    decode_value,
    encode_value,
)
from node.concurrency.height_gate import HeightGate
from node.concurrency.worker import Worker
from node.engine.application import NotReady, Unjudged, judge
from node.engine.host import FAULTS
from node.network.gossip import ROOM_SECONDS, TransactionGossip
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.dev_operation import DevKind, DevOperation
from node.primitives.errors import CorruptData, DecodeError, InvalidBlock, InvalidTransaction
from node.primitives.genesis import Genesis, GenesisValidator, Params
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.primitives.message import Message, MessageKind
from node.primitives.transaction import Transaction, decode_transaction
from node.query.frontier import Frontier
from node.shard.block import ShardBlock
from node.shard.chain import ShardChain
from node.shard.genesis import shard_genesis
from node.shard.lanes import InboundLane
from node.shard.pool import PoolFull, PoolLimits, TransactionPool
from node.storage.errors import StorageUnavailable
from node.storage.memory import MemoryStore
from node.wire import decode_transactions, encode_transactions

GWEI = 10**9
KEY = SigningKey(keccak256(b"validator"))
USERS = [Account.from_key(keccak256(b"user %d" % i)) for i in range(3)]


class Net:
    """A shard with one validator, alone in its network."""

    def __init__(self, **params: int) -> None:
        self.genesis = Genesis(
            chain_id=1337,
            timestamp=1_700_000_000,
            shards=1,
            validators=[
                GenesisValidator(
                    name="v0",
                    address="0x" + KEY.address.hex(),
                    peer_id="peer0",
                    shard=0,
                    stake=10**18,
                    beacon=True,
                )
            ],
            alloc={user.address: 10**20 for user in USERS},
            params=Params(**params),
        ).check()
        rules = BeaconRules.of(self.genesis, KeccakSecp256k1())
        first = genesis_block(
            self.genesis, {ShardId(0): shard_genesis(self.genesis, ShardId(0))[0]}
        )
        self.beacon_chain = BeaconChain(MemoryStore(), (first.block, first.nodes), rules)
        self.beacon = BeaconService(
            chain=self.beacon_chain,
            proposer=Address(KEY.address),
            now=time.time,
        )

    def service(self) -> ShardService:
        """Another node of the same shard."""
        return ShardService(
            chain=ShardChain(MemoryStore(), self.genesis, ShardId(0)),
            beacon=self.beacon_chain,
            beacon_gate=self.beacon.gate,
            pool=TransactionPool(),
            worker=Worker(),
            now=time.time,
            stopwatch=time.perf_counter,
            coinbase=Address(KEY.address),
        )


def certificate(block_id: bytes, height: int) -> Certificate:
    return Certificate(
        height=Height(height), round=Round(0), block_id=block_id, signers=1, signatures=(b"s" * 65,)
    )


async def decide(*services: ShardService) -> int:
    """The first one builds a block and all take it; how many transactions it holds."""
    block_id, value = await services[0].build()
    for service in services:
        assert await service.judge(value, decided=False) == block_id
        await service.commit(block_id, value, certificate(block_id, service.head_height() + 1))
    block = services[0].ledger.block(services[0].head_height())
    assert block is not None
    return len(block.items)


def raw_transfer(
    user: int, nonce: int, *, fee: int = 100 * GWEI, tip: int = 1, gas: int = 21_000
) -> bytes:
    signed = USERS[user].sign_transaction(
        {
            "type": 2,
            "chainId": 1337,
            "nonce": nonce,
            "to": USERS[(user + 1) % 3].address,
            "value": 1,
            "gas": gas,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": tip,
        }
    )
    return bytes(signed.raw_transaction)


def transfer(user: int, nonce: int, **fees: int) -> Transaction:
    return decode_transaction(raw_transfer(user, nonce, **fees))


def add(service: ShardService, tx: Transaction) -> None:
    service.pool.add(tx, service.accounts(), service.next_base_fee())
    service.pool_changed()


# ---------------------------------------------------------------------- gossip


def frontier_of_one() -> Frontier:
    """Of a node that shows all there is."""
    me = ValidatorAddress(KEY.address)
    return Frontier(
        committee=lambda: ValidatorSet([Validator(address=me, power=1)]),
        me=me,
        reached=lambda: 0,
        shown=lambda: 0,
        ask=None,  # type: ignore[arg-type]
    )


class Wire:
    """Two pools and the frames between them."""

    def __init__(self, net: Net) -> None:
        self.frames: list[bytes] = []
        self.sent: list[tuple[str, bytes]] = []
        self.service = net.service()
        self.news = 0
        self.gossip = TransactionGossip(
            service=self.service,
            frontier=frontier_of_one(),
            broadcast=self.frames.append,
            send=lambda peer, frame: self.sent.append((peer, frame)) or True,
            on_new=self._new,
        )

    def _new(self) -> None:
        self.news += 1


async def test_a_submitted_transaction_reaches_the_peers(autojump_clock: MockClock) -> None:
    net = Net()
    one, other = Wire(net), Wire(net)
    raw = raw_transfer(0, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.gossip.run)
        assert await one.gossip.submit(raw) == keccak256(raw)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert one.news == 1
    (frame,) = one.frames
    await other.gossip.received("peer", frame)
    assert other.gossip.get(keccak256(raw)) is not None
    assert other.news == 1
    await other.gossip.received("peer", frame)
    assert other.news == 1
    with pytest.raises(InvalidTransaction, match="already known"):
        await other.gossip.submit(raw)


async def test_who_is_alone_queues_nothing_for_others(autojump_clock: MockClock) -> None:
    frames: list[bytes] = []
    gossip = TransactionGossip(
        service=Net().service(),
        frontier=frontier_of_one(),
        broadcast=frames.append,
        send=lambda peer, frame: True,
        on_new=lambda: None,
        alone=True,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gossip.run)
        await gossip.submit(raw_transfer(0, 0))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert frames == []


async def test_a_transaction_waits_for_room_in_a_full_pool(autojump_clock: MockClock) -> None:
    wire = Wire(Net())
    wire.service.pool = TransactionPool(PoolLimits(max_transactions=1))
    await wire.gossip.submit(raw_transfer(0, 0))
    done: list[bytes] = []

    async def submit() -> None:
        done.append(await wire.gossip.submit(raw_transfer(1, 0)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(submit)
        await trio.testing.wait_all_tasks_blocked()
        wire.service.gate.advance(1)  # a block, which makes no room yet
        await trio.testing.wait_all_tasks_blocked()
        assert not done
        wire.service.pool.remove(keccak256(raw_transfer(0, 0)))
        wire.service.gate.advance(2)
    assert done == [keccak256(raw_transfer(1, 0))]


async def test_a_pool_that_stays_full_refuses(autojump_clock: MockClock) -> None:
    wire = Wire(Net())
    wire.service.pool = TransactionPool(PoolLimits(max_transactions=1))
    await wire.gossip.submit(raw_transfer(0, 0))
    before = trio.current_time()
    with pytest.raises(PoolFull, match="txpool is full"):
        await wire.gossip.submit(raw_transfer(1, 0))
    assert trio.current_time() - before == pytest.approx(ROOM_SECONDS)
    assert wire.gossip.counted.refused["full"] == 1


async def test_not_more_wait_for_room_than_there_is_memory_for(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.network.gossip.MAX_WAITING", 0)
    wire = Wire(Net())
    wire.service.pool = TransactionPool(PoolLimits(max_transactions=1))
    await wire.gossip.submit(raw_transfer(0, 0))
    before = trio.current_time()
    with pytest.raises(PoolFull):
        await wire.gossip.submit(raw_transfer(1, 0))
    assert trio.current_time() == before


async def test_a_peer_that_connects_is_told_what_is_pooled(autojump_clock: MockClock) -> None:
    """Its pool was lost when it restarted, or the transaction came while nobody was connected."""
    net = Net()
    one, other = Wire(net), Wire(net)
    raws = [raw_transfer(user, nonce) for nonce in range(40) for user in range(3)]
    for raw in raws:
        await one.gossip.submit(raw)
    one.gossip.peer_up("other")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.gossip.run)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert {peer for peer, _ in one.sent} == {"other"}
    for _, frame in one.sent:
        await other.gossip.received("one", frame)
    assert other.gossip.counts() == (120, 0)


async def test_a_frozen_shard_takes_no_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(Net())
    assert await wire.gossip.submit(raw_transfer(0, 0))
    monkeypatch.setattr(BeaconState, "is_frozen", lambda self, shard: shard == 0)
    with pytest.raises(
        InvalidTransaction, match=r"shard 0, on which the sender .* lives, is frozen"
    ):
        await wire.gossip.submit(raw_transfer(0, 1))
    monkeypatch.setattr(BeaconState, "is_frozen", lambda self, shard: shard == 1)
    real = BeaconState.home
    there = USERS[1].address.lower()
    monkeypatch.setattr(
        BeaconState,
        "home",
        lambda self, address: ShardId(1) if "0x" + address.hex() == there else real(self, address),
    )
    with pytest.raises(InvalidTransaction, match=r"shard 1 is frozen.*never arrives"):
        await wire.gossip.submit(raw_transfer(0, 1))
    assert await wire.gossip.submit(raw_transfer(2, 0)), "to an account that lives here"


async def test_hostile_batches_are_left_out() -> None:
    wire = Wire(Net())
    good = raw_transfer(0, 0)
    frames = [b"", b"\xff" * 50, b"\xc1\xc0", encode_transactions(0, [b""] * 1000)]
    foreign = bytes(Account.from_key(keccak256(b"nobody")).sign_transaction(
        {"chainId": 1, "nonce": 0, "to": USERS[0].address, "value": 0, "gas": 21000, "gasPrice": 1}
    ).raw_transaction)  # fmt: skip
    frames.append(encode_transactions(0, [foreign, good[:-1], b"\x05abc", good]))
    for frame in frames:
        await wire.gossip.received("peer", frame)
    assert wire.gossip.counts() == (1, 0)


async def test_a_large_batch_lets_others_run() -> None:
    wire = Wire(Net())
    frame = encode_transactions(0, [raw_transfer(0, nonce) for nonce in range(200)])
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await wire.gossip.received("peer", frame)
        nursery.cancel_scope.cancel()
    assert wire.gossip.counts() == (200, 0)
    assert turns >= 10


async def test_a_submitter_out_of_frames_still_holds_its_transactions() -> None:
    wire = Wire(Net())
    wire.gossip._queued_bytes = 1 << 40
    await wire.gossip.submit(raw_transfer(0, 0))
    assert wire.gossip.counts() == (1, 0)
    assert not wire.frames
    assert decode_transactions(encode_transactions(7, [])) == (7, [])


# ---------------------------------------------------------------------- the shard as an application


async def test_contents_that_the_header_does_not_commit_to_are_nobodys_decision() -> None:
    net = Net()
    service = net.service()
    add(service, transfer(0, 0))
    _, value = await service.build()
    block, tails = decode_value(value)
    assert service.body_matches(value)
    assert not service.body_matches(encode_value(replace(block, items=()), tails))
    _, value = await net.beacon.build()
    beacon_block = BeaconBlock.decode(value)
    assert net.beacon.body_matches(value)
    other = replace(beacon_block.header, body_root=beacon_block.hash)
    with suppress(DecodeError):  # or it is no block at all
        assert not net.beacon.body_matches(replace(beacon_block, header=other).encoded)


async def test_a_transaction_that_comes_during_an_empty_block_is_work_at_once() -> None:
    service = Net().service()
    block_id, value = await service.build()
    add(service, transfer(0, 0))
    await service.commit(block_id, value, certificate(block_id, 1))
    assert service.has_work()
    assert await decide(service) == 1
    assert not service.has_work()


async def test_what_cannot_be_included_is_no_work_until_something_changes() -> None:
    service = Net().service()
    add(service, transfer(0, 0, fee=1, tip=0))  # below the base fee
    assert service.has_work()
    assert await decide(service) == 0
    assert not service.has_work()
    assert await decide(service) == 0  # the heartbeat
    assert not service.has_work()
    add(service, transfer(1, 0))
    assert service.has_work()
    assert await decide(service) == 1


async def test_a_shard_whose_blocks_the_beacon_does_not_take_in_keeps_to_its_heartbeat() -> None:
    service = Net(max_uncrosslinked=2).service()
    for nonce in range(3):
        add(service, transfer(0, nonce))
        assert service.has_work() is (nonce < 2)
        assert await decide(service) == 1  # the heartbeat makes blocks all the same


async def test_only_a_pool_that_fills_again_is_a_backlog() -> None:
    """What waits for a nonce that never comes slows nobody down, and a burst only what comes with it."""
    service = Net().service()
    for nonce in range(5, 9):
        add(service, transfer(0, nonce))  # without 0 to 4
    assert service.backlog() == 0
    for nonce in range(3):
        add(service, transfer(1, nonce))
    assert service.backlog() == 0
    assert await decide(service) == 3
    assert service.backlog() == 3
    assert await decide(service) == 0
    assert service.backlog() == 0


async def test_transactions_that_ask_for_a_whole_block_do_not_keep_others_out() -> None:
    """Two of them, best first, use 21000 gas each: what fits beside the first is taken, too."""
    service = Net().service()
    for user in (0, 1):
        add(service, transfer(user, 0, tip=2, gas=30_000_000))
    for nonce in range(5):
        add(service, transfer(2, nonce))
    assert await decide(service) == 1 + 5
    assert await decide(service) == 1


async def test_an_empty_block_of_another_proposer_leaves_our_work() -> None:
    net = Net()
    one, other = net.service(), net.service()
    add(one, transfer(0, 0))
    assert await decide(other, one) == 0
    assert one.has_work()
    assert await decide(one, other) == 1


async def test_a_block_that_is_anchored_ahead_of_us_is_not_ready(autojump_clock: MockClock) -> None:
    net = Net()
    ahead = net.service()
    execution = net.beacon_chain.build([], timestamp=1_800_000_000, proposer=Address(KEY.address))
    late = Net()
    behind = late.service()
    net.beacon_chain.commit(execution, certificate(bytes(execution.block.hash), 1))
    block_id, value = await ahead.build()
    for decided in (True, False):
        with pytest.raises(NotReady, match="unknown beacon block"):
            await behind.judge(value, decided=decided)
    late.beacon_chain.commit(execution, certificate(bytes(execution.block.hash), 1))
    assert await behind.judge(value, decided=True) == block_id


async def test_the_value_of_a_known_block_must_be_its_own() -> None:
    net = Net()
    one, other = net.service(), net.service()
    add(one, transfer(0, 0))
    block_id, value = await one.build()
    stripped = value.replace(transfer(0, 0).raw, transfer(0, 0, tip=2).raw)
    assert stripped != value
    assert one.identify(stripped) == block_id
    for service in (one, other):
        with pytest.raises(InvalidBlock):
            await service.judge(stripped, decided=False)
    for garbage in (b"", b"\xc0", value[:-1], b"\xff" * 40):
        with pytest.raises(DecodeError):
            one.identify(garbage)


@pytest.mark.parametrize(
    ("tripped", "told"),
    [
        (InvalidTransaction("nonce too low"), InvalidBlock),
        (LookupError("a bug"), Unjudged),
        (AssertionError(), Unjudged),
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
        (MemoryError(), Unjudged),  # a block may ask for what nobody has
        (StorageUnavailable("the disk is full"), StorageUnavailable),
        (CorruptData("a trie node is missing"), CorruptData),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else type(each).__name__,
)
async def test_only_what_a_block_says_is_its_fault(
    tripped: Exception, told: type[Exception]
) -> None:
    service = Net().service()

    async def trip(value: bytes, *, decided: bool) -> Any:
        raise tripped

    service.judge = trip  # type: ignore[method-assign]
    with pytest.raises(told) as caught:
        await judge(service, b"x", decided=False)
    assert caught.type is told
    assert not issubclass(Unjudged, FAULTS)


async def test_a_forgotten_execution_is_done_again_at_commit() -> None:
    service = Net().service()
    block_id, value = await service.build()
    for _ in range(10):  # rounds of other blocks
        add(service, transfer(0, service.pool.counts()[0]))
        await service.build()
    await service.commit(block_id, value, certificate(block_id, 1))
    assert service.head_height() == 1


# ---------------------------------------------------------------------- building


async def _build_with(
    transactions: list[Transaction], poison: Callable[[Transaction], None]
) -> tuple[Any, list[Any]]:
    class Trapped:
        """A source whose transactions do something when they are taken."""

        def __init__(self, source: Any) -> None:
            self.source = source

        def next(self) -> Transaction | None:
            tx = self.source.next()
            if tx is not None:
                poison(tx)
            return tx

    async def build(source: Any) -> Any:
        taken = []
        trapped = Trapped(source)
        while (tx := trapped.next()) is not None:
            taken.append(tx)
        return type("Built", (), {"rejected": (), "taken": taken})

    return await build_block(build, transactions, seconds=0.05, clock=time.monotonic)


async def test_a_transaction_that_breaks_the_builder_is_found_and_left_out() -> None:
    transactions = [transfer(0, nonce) for nonce in range(9)]
    bad = transactions[4]

    def poison(tx: Transaction) -> None:
        if tx is bad:
            raise LookupError("a fault of ours")

    dropped: list[Any] = []
    included: list[Transaction] = []
    pool = list(transactions)
    for _ in range(9):  # blocks
        built, gone = await _build_with(pool, poison)
        included += built.taken
        dropped += gone
        pool = [tx for tx in pool if tx not in built.taken and tx.hash not in [h for h, _ in gone]]
    assert [h for h, _ in dropped] == [bad.hash]
    assert included == [tx for tx in transactions if tx is not bad]


async def test_a_disk_that_fails_the_builder_is_no_transactions_fault() -> None:
    def poison(tx: Transaction) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        await _build_with([transfer(0, 0)], poison)


async def test_a_transaction_that_takes_too_long_is_left_out() -> None:
    import time

    transactions = [transfer(0, nonce) for nonce in range(3)]

    async def build(source: Any) -> Any:
        taken = []
        while (tx := source.next()) is not None:
            taken.append(tx)
            if tx is transactions[1]:
                time.sleep(0.12)  # noqa: ASYNC251 - stands for an execution
        return type("Built", (), {"rejected": (), "taken": taken})

    built, dropped = await build_block(build, transactions, seconds=0.02, clock=time.monotonic)
    assert built.taken == []
    assert [h for h, _ in dropped] == [transactions[1].hash]


async def test_the_gate_opens_when_the_height_is_there(autojump_clock: MockClock) -> None:
    gate = HeightGate(1)
    with pytest.raises(trio.TooSlowError):
        await gate.reach(3, patience=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: gate.reach(3, patience=5))
        await trio.sleep(0.1)
        gate.advance(2)
        gate.advance(3)


async def test_the_worker_tells_when_nothing_runs_any_more() -> None:
    import threading

    worker, release = Worker(), threading.Event()
    with trio.move_on_after(0.05):
        await worker.call(release.wait)
    assert not worker.wait_idle(0.05)
    release.set()
    assert worker.wait_idle(5.0)


# ---------------------------------------------------------------------- development operations


def operation(kind: DevKind, salt: int = 0, **fields: Any) -> DevOperation:
    return DevOperation(kind=kind, salt=salt.to_bytes(16, "big"), **fields)


async def test_an_operation_reaches_the_peers_and_is_made_once(autojump_clock: MockClock) -> None:
    net = Net(dev_methods=True)
    one, other = Wire(net), Wire(net)
    account = Address(b"\x07" * 20)
    asked = operation(DevKind.SET_BALANCE, to=account, number=5)
    assert not one.service.has_work()
    assert await one.gossip.submit(asked.encoded) == asked.hash
    assert one.service.has_work()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.gossip.run)
        await trio.sleep(0.1)
        one.gossip.peer_up("late")
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    (frame,) = one.frames
    assert one.sent == [("late", frame)]
    await other.gossip.received("one", frame)
    assert (other.news, len(other.service.dev_queue)) == (1, 1)

    assert await decide(other.service, one.service) == 1
    for service in (one.service, other.service):
        assert len(service.dev_queue) == 0
        assert service.accounts().balance(account) == 5
        assert not service.has_work()
    await other.gossip.received("one", frame)  # it comes once more, too late
    assert await one.gossip.submit(asked.encoded) == asked.hash
    assert (other.news, len(other.service.dev_queue), len(one.service.dev_queue)) == (1, 0, 0)


async def test_an_operation_is_refused_with_the_reason() -> None:
    allowed, plain = Wire(Net(dev_methods=True)), Wire(Net())
    with pytest.raises(InvalidTransaction, match="dev_methods = false"):
        await plain.gossip.submit(operation(DevKind.MINE).encoded)
    await plain.gossip.received("peer", encode_transactions(0, [operation(DevKind.MINE).encoded]))
    assert len(plain.service.dev_queue) == 0
    precompile = operation(DevKind.SET_CODE, to=Address(bytes(19) + b"\1"), data=b"\1")
    with pytest.raises(InvalidTransaction, match="account of the protocol"):
        await allowed.gossip.submit(precompile.encoded)
    with pytest.raises(DecodeError):
        await allowed.gossip.submit(b"\x7c\xc0")
    await allowed.gossip.received("peer", encode_transactions(0, [b"\x7c\xc0", raw_transfer(0, 0)]))
    assert allowed.gossip.counts() == (1, 0)


async def test_a_shards_clock_goes_ahead_by_agreement() -> None:
    """A proposal may be as late as the clock that the parent's state has, and no later."""
    net = Net(dev_methods=True)
    one, other = net.service(), net.service()
    now = one.ledger.head.timestamp
    for ahead in (1_000_000, 3_000_000):
        one.add_operation(operation(DevKind.SET_CLOCK, ahead, number=ahead))
        await decide(one, other)
        await decide(one, other)
    late = one.ledger.head.timestamp
    assert late - 3_000_000 > now
    assert one.ledger.header(2).timestamp - 1_000_000 > now

    strange = net.service()  # has not heard of it
    _, value = await one.build()
    block, tails = decode_value(value)
    header = replace(block.header, number=1, parent_hash=strange.ledger.head.hash)
    early = encode_value(ShardBlock(header=header, items=()), tails)
    with pytest.raises(InvalidBlock, match="ahead of our clock"):
        await strange.judge(early, decided=False)

    beyond = replace(block.header, timestamp=late + 100)
    with pytest.raises(InvalidBlock, match="ahead of our clock"):
        await other.judge(encode_value(ShardBlock(header=beyond, items=()), tails), decided=False)
    with pytest.raises(InvalidTransaction, match="time cannot go back"):
        one.add_operation(operation(DevKind.SET_CLOCK, number=2_999_999))


ARRIVAL = Message(
    src=ShardId(1),
    dst=ShardId(0),
    seq=0,
    kind=MessageKind.CREDIT,
    sender=Address(KEY.address),
    to=Address(KEY.address),
    value=0,
    refund_to=Address(KEY.address),
    origin_tx=Hash32(bytes(32)),
)


async def test_transactions_have_a_block_after_arrivals_that_took_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first arrival is always delivered, however long it takes, so a lane of dear messages could have all
    the time of a shard but for what its transactions get beside them."""
    service, offered = Net().service(), []
    service.lanes[ShardId(1)] = InboundLane(src=ShardId(1))
    service._refresh()
    real = ShardChain.build

    def build(self: ShardChain, env: Any, lanes: Any, *args: Any, **options: Any) -> Any:
        offered.append(list(lanes))
        return real(self, env, {}, *args, **options)

    async def decide_after(seconds: float, arrivals: int = 1) -> str | None:
        """What is objected to in the next block, whose beacon operations and arrivals then take so long."""
        block_id, value = await service.build()
        executed, tails = service._executed[block_id]
        objection = service.objection(block_id)
        delivered = ((0, ARRIVAL),) * arrivals
        slow = replace(executed, arrival_seconds=seconds, delivered=delivered)
        service._executed[block_id] = slow, tails
        await service.commit(block_id, value, certificate(block_id, service.head_height() + 1))
        return objection

    monkeypatch.setattr(ShardChain, "build", build)
    monkeypatch.setattr("node.chains.shard_app.K_WITHHELD", 0)
    monkeypatch.setattr("node.chains.shard_app.withheld", lambda *_: "something waits")
    service._anchors.furthest = lambda: 0  # type: ignore[method-assign]
    objected = []
    for nonce, seconds in enumerate((ARRIVAL_SECONDS, 0.0, ARRIVAL_SECONDS / SLOWER, 0.0)):
        add(service, transfer(0, nonce))
        objected.append(await decide_after(seconds))
    assert offered == [[1], [], [1], [1]]
    assert objected == ["something waits", None, "something waits", None]
    await decide_after(ARRIVAL_SECONDS)
    await service.build()
    assert offered[-1] == [1], "nobody waits for the block"
    add(service, transfer(0, 4))
    await decide_after(ARRIVAL_SECONDS, arrivals=0)
    add(service, transfer(0, 5))
    assert await decide_after(0.0) == "something waits"
    assert offered[-1] == [1], "slow beacon operations are no arrivals, which would have no turn"


@pytest.mark.parametrize(("arrivals", "taken"), [(0.0, 8), (3.0, 5), (7.0, 2), (30.0, 2)])
def test_arrivals_take_of_the_time_of_transactions_but_for_a_quarter(
    arrivals: float, taken: int
) -> None:
    now = 100.0
    transactions = [transfer(0, nonce) for nonce in range(10)]
    source = Paced(transactions, seconds=8.0, clock=lambda: now)
    now += arrivals
    found = 0
    while source.next() is not None:
        found += 1
        now += 1.0
    assert found == taken
