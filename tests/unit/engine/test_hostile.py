"""What a faulty validator or a lying peer does to a host and its syncer: nothing."""

import errno
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from consensus.codec import encode_certificate
from consensus.signing import proposal_sign_bytes, vote_sign_bytes
from consensus.types import Address, BlockId, Height, Proposal, Round, Vote, VoteType
from node.engine.admission import VOTES_BURST, VOTES_PER_SECOND
from node.engine.application import Diverged, EffectFailed, Unjudged
from node.engine.journal import Journal
from node.engine.sync import decode_request, serve_blocks
from node.primitives.basics import keccak_fast
from node.primitives.errors import InvalidBlock
from node.wire import (
    BlocksPage,
    DecidedBlock,
    DecidedMessage,
    ProposalMessage,
    StatusMessage,
    encode_body,
)
from tests.simulation.simnet.forgery import Forgers, can_travel

Make = Callable[..., Any]
Running = Callable[[Any], AbstractAsyncContextManager[Any]]


def signed_vote(net: Any, index: int, height: int, round_: int = 0, **kw: Any) -> Vote:
    block_id = kw.get("block_id")
    app, key = net.nodes[index].app, net.keys[index]
    preimage = vote_sign_bytes(
        app.context, VoteType.PREVOTE, Height(height), Round(round_), block_id
    )
    return Vote(
        type=VoteType.PREVOTE,
        height=Height(height),
        round=Round(round_),
        block_id=block_id,
        validator=Address(key.address),
        signature=key.sign_digest(keccak_fast(preimage)),
    )


def signed_proposal(
    net: Any, height: int, round_: int, value: bytes, polka: int = -1
) -> tuple[str, Any]:
    """(its sender, a proposal by the validator whose turn it is)."""
    turn = net.members.proposer(Height(height), Round(round_)).address
    node = next(n for n in net.nodes if n.key.address == turn)
    block_id = BlockId(keccak_fast(value.split(b"|")[0]))
    preimage = proposal_sign_bytes(node.app.context, Height(height), Round(round_), block_id, polka)
    proposal = Proposal(
        height=Height(height),
        round=Round(round_),
        block_id=block_id,
        pol_round=polka,
        proposer=Address(turn),
        signature=node.key.sign_digest(keccak_fast(preimage)),
    )
    return node.name, ProposalMessage(proposal=proposal, value=value)


async def test_garbage_from_anyone_ends_nothing(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        await net.reach(2)
        host = net.nodes[0].host
        forged = replace(signed_vote(net, 1, 3), signature=b"\x01" * 65)
        ahead = replace(signed_vote(net, 1, 4), signature=b"\x01" * 65)
        certificate = net.nodes[0].app.decided(2)[1]
        bodies = [
            b"",
            b"\x09",
            b"\x01\xff\xff\xff\xff",
            *(encode_body(m) for m in (forged, ahead)),
            encode_body(replace(forged, height=Height(2**64 - 1))),
            encode_body(DecidedMessage(certificate=certificate, value=b"3/x")),
            encode_body(
                DecidedMessage(certificate=replace(certificate, height=Height(3)), value=b"3/x")
            ),
            encode_body(StatusMessage(height=2**64 - 1)),
            encode_body(signed_proposal(net, 3, 0, b"3/garbage")[1]),
        ]
        # Between two heights, when such messages are kept for later, and within one.
        for _ in range(40):
            for body in bodies:
                for peer in ("v1", "v2", "stranger"):
                    await host.deliver(peer, body)
            await trio.sleep(0.05)
        await net.reach(net.nodes[0].height + 3)
        assert all(node.runs == 1 for node in net.nodes)


async def test_less_than_a_quorum_shows_us_no_decision(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """Two of four pool their keys, and have the certificates that everybody has."""
    async with running(world()) as net:
        await net.reach(2)
        victim = net.nodes[0]
        members, keys = victim.app.validators(), {n.key.address: n.key for n in net.nodes[1:3]}
        forgers = Forgers(
            context=victim.app.context,
            validators=members,
            keys=frozenset(Address(address) for address in keys),
            sign=lambda who, words: keys[who].sign_digest(keccak_fast(words)),
            real=[victim.app.decided(height)[1] for height in (1, 2)],
        )
        for _ in range(5):
            height = Height(victim.height + 1)
            value = b"%d/untrue" % height
            made = forgers.forged(height, victim.app.identify(value))
            lies = [certificate for _, certificate in made if can_travel(certificate)]
            assert len(lies) > 15
            for certificate in lies:
                body = encode_body(DecidedMessage(certificate=certificate, value=value))
                await victim.host.deliver("v1", body)
            await trio.sleep(0.3)
        await net.reach(victim.height + 2)
        assert all(b"untrue" not in value for node in net.nodes for value, _ in node.app.blocks)


async def test_strangers_start_no_heights(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    async with running(world()) as net:
        await net.reach(1)
        height = net.nodes[0].height
        for _ in range(20):
            await net.nodes[0].host.deliver(
                "stranger", encode_body(signed_vote(net, 1, height + 1))
            )
            await net.nodes[0].host.deliver(
                "v1", encode_body(replace(signed_vote(net, 1, height + 1), signature=b"\x01" * 65))
            )
            await trio.sleep(0.02)
        assert net.nodes[0].height == height
        assert not net.nodes[0].host._started


@pytest.mark.parametrize("value", [b"bad", b"bug"])
async def test_a_bad_proposal_costs_one_round(
    world: Make, running: Running, autojump_clock: MockClock, value: bytes
) -> None:
    """Even one that a fault of ours trips over."""
    net = world()
    sender, message = signed_proposal(net, 1, 0, b"1/x" + value)
    faulty = net.by_name[sender]
    faulty.run = _nothing
    async with running(net):
        honest = [n for n in net.nodes if n is not faulty]
        for node in honest:
            await net.is_up(node)
            await node.host.deliver(sender, encode_body(message))
        await net.reach(2, *honest, seconds=5)
        for node in honest:
            assert node.app.decided(1)[1].round >= 1


async def _nothing() -> None:
    await trio.sleep_forever()


async def _settled(condition: Callable[[], Any]) -> None:
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - of virtual time
            await trio.sleep(0.001)


@pytest.mark.parametrize("judged_first", [False, True])
async def test_who_passes_a_proposal_on_cannot_spoil_it(
    world: Make, running: Running, autojump_clock: MockClock, judged_first: bool
) -> None:
    """What is beside the block is not signed: a third validator must not make us vote nil by it, not even
    if its copy is judged before the proposer's comes."""
    net = world()
    sender, message = signed_proposal(net, 1, 0, b"1/x")
    proposer = net.by_name[sender]
    proposer.run = _nothing
    relay = next(n.name for n in net.nodes if n is not proposer)
    async with running(net):
        honest = [n for n in net.nodes if n is not proposer]
        for node in honest:
            await net.is_up(node)
            for spoilt in (b"1/x|proof", b"1/other", b"garbage"):
                body = encode_body(replace(message, value=spoilt))
                await node.host.deliver(relay if node.name != relay else "v9", body)
        if judged_first:
            spoilt_for = [n for n in honest if n.name != relay]
            await _settled(lambda: all(n.app.judged and not n.app.executing for n in spoilt_for))
            await _settled(lambda: not any(n.host.waiting_events for n in spoilt_for))
        for node in honest:
            await node.host.deliver(sender, encode_body(message))
        await net.reach(1, *honest, seconds=5)
        assert honest[0].app.decided(1)[0] == b"1/x"
        assert honest[0].app.decided(1)[1].round == 0


async def test_the_journal_keeps_the_copy_that_was_judged(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """A block that we object to is proposed once more, as one with a polka, with a spoilt value."""
    net = world()
    net.drops = lambda *_: True
    sender, first = signed_proposal(net, 1, 1, b"1/x/1")
    _, again = signed_proposal(net, 1, 1, b"1/x/1|forged", polka=0)
    victim = next(node for node in net.nodes if node.name != sender)
    victim.app.disliked.add("x")
    others = [index for index, node in enumerate(net.nodes) if node is not victim]

    async with running(net):
        await net.is_up(victim)
        await _settled(lambda: victim.host._started)
        for index in others[:2]:
            body = encode_body(signed_vote(net, index, 1, 1))
            await victim.host.deliver(net.nodes[index].name, body)
        await _settled(lambda: victim.host.participant.round == 1)
        counts = victim.host.counts.proposals
        await victim.host.deliver(sender, encode_body(first))
        await _settled(lambda: counts["invalid"] == 1)
        await victim.host.deliver(sender, encode_body(again))
        await _settled(lambda: counts["valid"] == 1)
        victim.wal.sync()
        victim.crash()
        await _settled(lambda: victim.runs == 2 and victim.up and victim.host._started)
        assert victim.host.participant.driver.value(again.proposal.block_id) == b"1/x/1"


@pytest.mark.slow
async def test_a_validator_that_signs_everything_fills_no_disk(
    world: Make, running: Running, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it keep the disk busy: what it signs beyond its allowance is not written at all. A log that
    is made shorter again and again stays short."""
    written: list[Vote] = []
    log = Journal.vote
    net = world()
    victim, flooder = net.nodes[2], net.nodes[3].key.address

    def vote(self: Journal, vote: Vote) -> None:
        if self.log is victim.wal and vote.validator == flooder and vote.height == height:
            written.append(vote)
        log(self, vote)

    async with running(net):
        await net.reach(1)
        net.partition = {"v0", "v1"}
        await trio.sleep(3)
        height, before, began = victim.height + 1, victim.wal.size, trio.current_time()
        monkeypatch.setattr(Journal, "vote", vote)
        for round_ in range(3000):
            await victim.host.deliver("v3", encode_body(signed_vote(net, 3, height, round_)))
        await trio.sleep(5)
        assert victim.wal.size - before < 200_000
        most = VOTES_BURST + VOTES_PER_SECOND * (trio.current_time() - began)
        assert VOTES_BURST / 2 < len(written) <= most
        net.heal()
        await net.reach(height + 2)


@pytest.mark.slow
async def test_a_peer_that_claims_everything_keeps_nobody_from_syncing(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    async with running(net):
        net.partition = {"v3"}
        await net.reach(5, *net.nodes[:3])
        late = net.nodes[3]
        real, asked = net.ask, []

        async def ask(asker: Any, peer: str, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
            asked.append(peer)
            if peer != "v1":
                return await real(asker, peer, payload, timeout)
            value, certificate = net.nodes[0].app.decided(1)
            lies = [
                BlocksPage(head=2**63, blocks=[]),
                BlocksPage(
                    head=2**63,
                    blocks=[
                        DecidedBlock(value=b"1/lie", certificate=encode_certificate(certificate))
                    ],
                ),
                BlocksPage(head=2**63, blocks=[DecidedBlock(value=value, certificate=b"x")]),
            ]
            return [*map(msgspec.msgpack.encode, lies), b"\x91" * 100_000][len(asked) % 4]

        net.ask = ask
        late.syncer.heard("v1", 2**63)
        net.heal()
        await net.reach(5, late, seconds=10)
        await trio.sleep(30)
        assert late.runs == 1
        assert asked.count("v1") < 15
        await net.reach(net.nodes[0].height + 2)


@pytest.mark.slow
async def test_a_peer_that_claims_to_be_far_ahead_slows_nobody(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """It answers with what was just decided, as if it had much more: nobody is to wait for that."""
    net = world()
    liar, real = net.nodes[1], net.ask

    async def ask(asker: Any, peer: str, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        if peer != liar.name:
            return await real(asker, peer, payload, timeout)
        request = decode_request(payload)
        while liar.height < request.start:  # noqa: ASYNC110 - of virtual time
            await trio.sleep(0.001)
        page = await serve_blocks(liar.app, request)
        return msgspec.msgpack.encode(BlocksPage(head=2**63, blocks=page.blocks))

    async def seconds(height: int) -> float:
        began = trio.current_time()
        await net.reach(height)
        return trio.current_time() - began

    for node in net.nodes:
        node.app.work = True
    async with running(net):
        await net.reach(1)
        honest = await seconds(net.nodes[0].height + 20)
        net.ask = ask
        for node in net.nodes:
            if node is not liar:
                node.syncer.heard(liar.name, 2**63)
        assert await seconds(net.nodes[0].height + 20) < 2 * honest


async def test_a_quorum_that_decides_what_we_refuse_ends_the_node(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """Its rules or its data differ: better no node than a wrong one."""

    net = world(count=1)
    app = net.nodes[0].app
    real = app.commit

    async def commit(block_id: Any, value: bytes, certificate: Any) -> None:
        await real(block_id, value + b"bad" * (certificate.height > 2), certificate)

    async def live() -> None:
        async with running(net):
            await net.reach(5)

    app.commit = commit
    with pytest.raises(BaseExceptionGroup) as caught:
        await live()
    assert net.nodes[0].height == 2
    assert _contains(caught.value, Diverged)


async def test_an_effect_that_fails_is_the_fault_of_no_peer(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """Telling of a contradiction fails here, with an error that a bad message raises as well."""
    net = world()
    net.drops = lambda *_: True  # the height goes on
    victim = net.nodes[0]

    def refuse(*_: object) -> None:
        raise InvalidBlock("evidence: it has no effect")

    async def live() -> None:
        async with running(net):
            await net.is_up(victim)
            await _settled(lambda: victim.host._started)
            victim.host.participant._accuse = refuse
            for block_id in (None, BlockId(b"1" * 32)):
                vote = signed_vote(net, 3, 1, block_id=block_id)
                await victim.host.deliver("v3", encode_body(vote))
            await _settled(lambda: not victim.host.waiting_events)
            await _settled(lambda: victim.host.counts.equivocations)
            await trio.sleep(1)

    with pytest.raises(BaseExceptionGroup) as caught:
        await live()
    assert _contains(caught.value, EffectFailed)


async def test_a_decided_block_that_we_alone_refuse_in_sync_ends_the_node(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    """The certificate is by the committee, and the block is what it names: no peer has lied."""
    net = world()
    alone = net.nodes[3]
    real = alone.app.judge

    async def judge(value: bytes, *, decided: bool) -> BlockId:
        if int(value.split(b"/")[0]) >= 3 and b"/v3/" not in value:
            raise InvalidBlock("our rules differ")
        block_id: BlockId = await real(value, decided=decided)
        return block_id

    async def live() -> None:
        async with running(net):
            await net.reach(20, *net.nodes[:3])

    alone.app.judge = judge
    with pytest.raises(BaseExceptionGroup) as caught:
        await live()
    assert alone.height >= 2
    assert _contains(caught.value, Diverged)


@pytest.mark.parametrize(
    ("tripped", "reason"),
    [(OSError(errno.EIO, "Input/output error"), OSError), (LookupError("a bug"), Unjudged)],
    ids=["disk", "bug"],
)
async def test_a_decided_block_that_we_cannot_judge_ends_the_node_with_our_own_reason(
    world: Make,
    running: Running,
    autojump_clock: MockClock,
    tripped: Exception,
    reason: type[Exception],
) -> None:
    """Nobody else is blamed, neither a peer nor the quorum."""
    net = world()
    alone = net.nodes[3]
    real = alone.app.judge

    async def judge(value: bytes, *, decided: bool) -> BlockId:
        if decided and int(value.split(b"/")[0]) >= 3:
            raise tripped
        block_id: BlockId = await real(value, decided=decided)
        return block_id

    async def live() -> None:
        async with running(net):
            net.partition = {"v3"}
            await net.reach(5, *net.nodes[:3])
            net.heal()
            await net.reach(6)

    alone.app.judge = judge
    with pytest.raises(BaseExceptionGroup) as caught:
        await live()
    assert alone.height == 2
    assert _contains(caught.value, reason)
    assert not _contains(caught.value, Diverged)


async def test_other_contents_that_trip_over_a_bug_are_the_fault_of_who_sent_them(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    async with running(net):
        net.partition = {"v3"}
        await net.reach(3, *net.nodes[:3])
        late = net.nodes[3]
        real = late.app.judge

        async def judge(value: bytes, *, decided: bool) -> BlockId:
            if b"forged" in value:
                raise LookupError("a bug")
            block_id: BlockId = await real(value, decided=decided)
            return block_id

        late.app.judge = judge
        value, certificate = net.nodes[0].app.decided(late.height + 1)
        message = DecidedMessage(certificate=certificate, value=value + b"|forged")
        with pytest.raises(InvalidBlock):
            await late.host.apply_decided(message)
        net.heal()
        await net.reach(5)
        assert late.runs == 1


async def test_other_contents_under_a_decided_header_are_the_fault_of_who_sent_them(
    world: Make, running: Running, autojump_clock: MockClock
) -> None:
    net = world()
    async with running(net):
        net.partition = {"v3"}
        await net.reach(3, *net.nodes[:3])
        late = net.nodes[3]
        value, certificate = net.nodes[0].app.decided(late.height + 1)
        message = DecidedMessage(certificate=certificate, value=value + b"|forged")
        with pytest.raises(InvalidBlock):
            await late.host.apply_decided(message)
        await late.host.deliver("v1", encode_body(message))
        net.heal()
        await net.reach(5)
        assert late.runs == 1


def _contains(error: BaseException, kind: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_contains(inner, kind) for inner in error.exceptions)
    return isinstance(error, kind)
