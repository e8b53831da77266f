"""Transactions that run to their end and whose payments no lane has room for: nothing of what they did is left,
and whoever judges the block comes to the same roots."""

import random

import pytest

from node.shard.selection import ChosenTransactions
from tests.support.effort import seeds


@pytest.mark.parametrize("seed", seeds(30))
def test_what_cannot_be_sent_leaves_nothing_behind(make_world, kit, seed):
    """Contracts pay accounts of other shards beyond what the lanes hold, and touch what an undone touch must
    leave as it was: empty accounts of the genesis, new ones, storage, contracts that end themselves."""
    dice = random.Random(seed)
    empty = [kit.address(0, 2, 4000 + n) for n in range(6)]
    world = make_world(shards=2, alloc=dict.fromkeys(empty, 0), lane_window=dice.choice([1, 2]))
    remote = [kit.address(1, 2, 100 + n) for n in range(8)]
    store = world.deploy(kit.store)
    payers = []
    for _ in range(8):
        here = [(a, dice.randrange(2)) for a in dice.sample(empty, 2)]
        away = [(a, 1) for a in dice.sample(remote, dice.randrange(4))]
        steps = [(to, wei, b"") for to, wei in here + away]
        steps.append((store, 0, dice.randrange(9).to_bytes(32, "big")))
        dice.shuffle(steps)
        end = dice.choice([b"\x00", kit.destroy(dice.choice([*empty, *remote]))])
        payers.append(world.deploy(kit.calls(*steps, end=end), value=10))
    deferred = undone = 0
    for _ in range(4):
        users = world.users[0]
        nonces = [world.chain.state().nonce(user.address) for user in users]
        txs = []
        for user, nonce in zip(users, nonces, strict=True):
            for n in range(3):
                to = dice.choice([*payers, *empty, *remote])
                txs.append(user.tx(to, dice.randrange(2), b"", 400_000, nonce=nonce + n))
        env = world.env()
        built = world.chain.build(env, world.lanes(), ChosenTransactions(txs))
        deferred += len(built.deferred)
        failed = {
            index
            for index, tx in built.executed.decoded
            if not built.executed.receipts[index].status and tx.to in payers
        }
        undone += len(failed)
        assert not failed & {sent.index for sent in built.executed.sent}
        judged = world.twin.judge(built.executed.block, env.anchor, built.tails)
        assert judged.delta.root == built.executed.delta.root
        for chain, executed in ((world.chain, built.executed), (world.twin, judged)):
            chain.commit(executed, kit.certificate(executed))
    assert deferred
    assert undone
