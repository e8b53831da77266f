"""Transactions and development operations between pools."""

import threading

import pytest
import trio
import trio.testing
from eth_account import Account
from trio.testing import MockClock

from node.beacon.state import BeaconState
from node.network.gossip import FEW_AUTHORIZATIONS, ROOM_SECONDS, TransactionGossip
from node.primitives import transaction
from node.primitives.basics import Address, ShardId, keccak256
from node.primitives.dev_operation import DevKind
from node.primitives.errors import DecodeError, InvalidTransaction
from node.shard.pool import PoolFull, PoolLimits, TransactionPool
from node.wire import decode_transactions, encode_transactions
from tests.unit.chains.one_shard import USERS, Net, decide, operation, raw_transfer
from tests.unit.network.pool_wire import Wire, frontier_of_one


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


async def test_many_signers_are_recovered_beside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They take a tenth of a second, and whoever hands them in need not have a wei."""
    threads: list[int] = []
    recover = transaction.recover_digest

    def noted(digest: bytes, signature: bytes) -> Address | None:
        threads.append(threading.get_ident())
        return recover(digest, signature)

    monkeypatch.setattr(transaction, "recover_digest", noted)
    transaction._recovered.cache_clear()
    poor = Account.from_key(keccak256(b"no money"))
    items = [
        USERS[2].sign_authorization({"chainId": 1337, "address": "0x" + "00" * 20, "nonce": n})
        for n in range(FEW_AUTHORIZATIONS + 1)
    ]
    raw = bytes(
        poor.sign_transaction(
            {
                "type": 4, "chainId": 1337, "nonce": 0, "to": USERS[0].address, "value": 0,
                "gas": 1_000_000, "maxFeePerGas": 100 * 10**9, "maxPriorityFeePerGas": 9,
                "authorizationList": items,
            }
        ).raw_transaction
    )  # fmt: skip
    net = Net()
    for _ in range(2):
        wire = Wire(net)
        with pytest.raises(InvalidTransaction):
            await wire.gossip.submit(raw)
    here = threading.get_ident()
    assert threads.count(here) <= 1, "the sender"
    assert len(threads) == len(items) + threads.count(here), "once, however often it is handed in"


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
