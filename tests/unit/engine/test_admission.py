"""Which messages of a height are let in, and how mailbox, early messages and claims are bounded."""

from dataclasses import replace

import trio
from trio.testing import MockClock

from consensus.types import Address, BlockId, Height, Proposal, Round, Vote, VoteType
from node.engine.admission import STASHED, STASHED_PER_PROPOSER, VOTES_BURST, Admission, Brought
from node.engine.early_messages import PEER_MESSAGES, PEER_PROPOSALS, EarlyMessages
from node.engine.mailbox import Mailbox, PeerFrame
from node.engine.peer_heights import LONGEST_BENCH, Claims
from node.wire import ProposalMessage


def vote(round_: int, *, who: int = 1, block: int | None = None, height: int = 5) -> Vote:
    return Vote(
        type=VoteType.PREVOTE,
        height=Height(height),
        round=Round(round_),
        block_id=None if block is None else BlockId(bytes([block]) * 32),
        validator=Address(bytes([who]) * 20),
        signature=b"s" * 65,
    )


def proposal(round_: int, *, who: int = 1, block: int = 0, height: int = 5) -> ProposalMessage:
    return ProposalMessage(
        proposal=Proposal(
            height=Height(height),
            round=Round(round_),
            block_id=BlockId(bytes([block]) * 32),
            pol_round=-1,
            proposer=Address(bytes([who]) * 20),
            signature=b"s" * 65,
        ),
        value=b"value",
    )


def brought(message: ProposalMessage) -> Brought:
    """By its proposer."""
    return message, message.proposal.proposer


def stash(admission: Admission, message: ProposalMessage) -> bool:
    return admission.stash(*brought(message))


def shelve(admission: Admission, message: ProposalMessage) -> None:
    admission.shelve(*brought(message))


def test_a_validator_has_an_allowance_of_its_own() -> None:
    admission = Admission()
    admitted = sum(admission.admit_vote(vote(r, who=1), 0.0) for r in range(5000))
    assert admitted == VOTES_BURST
    assert admission.admit_vote(vote(0, who=2), 0.0)
    assert admission.admit_vote(vote(6000, who=1), 1.0)
    rested = sum(admission.admit_vote(vote(r, who=2), 1e6) for r in range(5000))
    assert rested == VOTES_BURST, "what was not used is not saved up"


def test_a_later_proposal_waits_for_its_round() -> None:
    admission = Admission()
    assert not stash(admission, proposal(0))
    assert stash(admission, proposal(3))
    assert admission.enter(1) is None
    assert admission.enter(3) == brought(proposal(3))
    assert admission.enter(4) is None


def test_a_proposer_cannot_push_out_another() -> None:
    admission = Admission()
    assert stash(admission, proposal(2, who=2))
    for round_ in range(3, 1000):
        stash(admission, proposal(round_, who=1))
    assert admission.enter(2) == brought(proposal(2, who=2))
    kept = [r for r in range(3, 1000) if admission.enter(r) is not None]
    assert len(kept) == STASHED_PER_PROPOSER


def test_a_copy_that_is_passed_on_does_not_push_out_what_the_proposer_sent() -> None:
    """What is beside a block is not signed: whoever passes it on can spoil it."""
    admission, relay, honest = Admission(), Address(bytes([9]) * 20), proposal(3)
    spoilt = [replace(honest, value=b"spoilt %d" % i) for i in range(100)]
    for message in spoilt[:50]:
        admission.stash(message, relay)
    stash(admission, honest)
    for message in spoilt[50:]:
        admission.stash(message, relay)
    assert admission.enter(3) == brought(honest)

    admission.enter(4)
    for message in spoilt[:50]:
        admission.shelve(message, relay)
    shelve(admission, honest)
    for message in spoilt[50:]:
        admission.shelve(message, relay)
    for who in range(2, 30):
        admission.shelve(proposal(3, who=who, block=who), relay)
    shelved = admission.take_named(lambda block: True)
    assert brought(honest) in shelved
    assert len(shelved) <= STASHED


def test_a_verdict_is_final_only_if_it_is_good() -> None:
    admission = Admission()
    message = proposal(0)
    first, sender = message.proposal, message.proposal.proposer
    assert admission.wants(message, sender, 0.0)
    assert admission.note_judged(first, valid=False, now=0.0)
    assert not admission.wants(message, sender, 0.5)
    assert admission.wants(message, sender, 1.5)  # what it refers to may have come
    assert not admission.note_judged(first, valid=False, now=1.5)
    assert admission.note_judged(first, valid=True, now=3.0)
    assert not admission.wants(message, sender, 100.0)


def test_an_equivocating_proposer_cannot_keep_us_busy() -> None:
    admission = Admission()
    judged = 0
    for block in range(100):
        candidate = proposal(0, block=block)
        if admission.wants(candidate, candidate.proposal.proposer, 0.0):
            admission.note_judged(candidate.proposal, valid=True, now=0.0)
            judged += 1
    assert judged == 4
    admission.enter(1)
    assert admission.wants(proposal(1), None, 0.0)
    admission.enter(100)
    assert not admission.wants(proposal(1), None, 0.0)


def test_proposals_of_rounds_that_are_over_wait_for_votes_in_bounded_memory() -> None:
    admission = Admission()
    admission.enter(16)
    for round_ in range(16):
        for who in range(1, 30):
            shelve(admission, proposal(round_, who=who, block=who))
    shelve(admission, proposal(15, who=77, block=77))
    assert not admission.wants(proposal(15, who=77, block=77), None, 0.0), "it is there"
    assert admission.take_named(lambda block: block == bytes([77]) * 32) == [
        brought(proposal(15, who=77, block=77))
    ]
    assert len(admission.take_named(lambda block: True)) < STASHED
    for round_ in range(16):
        shelve(admission, proposal(round_, who=1))
    assert len(admission.take_named(lambda block: True)) == STASHED_PER_PROPOSER


def test_who_passes_on_what_is_not_valid_is_not_heard_for_a_while() -> None:
    admission = Admission()
    relay = Address(bytes([9]) * 20)
    message = proposal(0)
    admission.fault(relay, 10.0)
    assert not admission.wants(message, relay, 10.5)
    assert admission.wants(message, message.proposal.proposer, 10.5)
    assert admission.wants(message, relay, 11.5)


def test_early_messages_come_in_order_and_old_ones_go() -> None:
    early = EarlyMessages()
    for message in (vote(1, height=5), vote(0, height=6), vote(2, height=5), vote(1, height=5)):
        early.add("a", message)
    assert early.has(6)
    assert early.take(5) == [("a", vote(1)), ("a", vote(2))]
    assert early.take(7) == []
    assert not early.has(6)


def test_a_peer_fills_only_its_own_share_of_early_messages() -> None:
    early = EarlyMessages()
    for round_ in range(1000):
        early.add("liar", vote(round_))
        early.add("liar", proposal(round_))
    early.add("honest", vote(0, who=2))
    taken = early.take(5)
    assert ("honest", vote(0, who=2)) in taken
    assert len(taken) == PEER_MESSAGES + 1
    assert sum(isinstance(m, ProposalMessage) for _, m in taken) == PEER_PROPOSALS


async def test_a_flooding_peer_waits_and_others_do_not(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(peer_frames=10, peer_bytes=1000)
    delivered = 0

    async def flood() -> None:
        nonlocal delivered
        while True:
            await mailbox.deliver(PeerFrame("liar", b"x" * 10))
            delivered += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        await trio.sleep(1)
        assert delivered == 10
        with trio.fail_after(1):
            await mailbox.deliver(PeerFrame("honest", b"y"))
        assert [(await mailbox.get()).peer for _ in range(11)][-1] == "honest"
        await trio.sleep(1)
        assert delivered == 20
        nursery.cancel_scope.cancel()


async def test_a_frame_beyond_the_quota_is_let_in_alone(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(peer_frames=10, peer_bytes=100)
    with trio.fail_after(1):
        await mailbox.deliver(PeerFrame("a", b"x" * 5000))
    with trio.move_on_after(1) as scope:
        await mailbox.deliver(PeerFrame("a", b"x"))
    assert scope.cancelled_caught
    await mailbox.get()
    with trio.fail_after(1):
        await mailbox.deliver(PeerFrame("a", b"x"))


def test_a_liar_is_believed_less_and_less() -> None:
    claims, now, asked = Claims(), 0.0, 0
    while now < 1000:
        claims.heard("liar", 10**18)
        if claims.next_above(5, {"liar"}, now) == "liar":
            asked += 1
            claims.fault("liar", now)
        now += 1
    assert asked < 12 + 1000 / LONGEST_BENCH
    assert claims.highest({"liar"}, now) == 0


def test_peers_are_asked_in_turn() -> None:
    claims = Claims()
    for peer in "abc":
        claims.heard(peer, 10)
    claims.heard("far", 10**9)
    connected = {"a", "b", "far"}
    asked = [claims.next_above(5, connected, 0.0) for _ in range(6)]
    assert sorted(map(str, asked[:3])) == ["a", "b", "far"]
    assert asked[:3] == asked[3:]
    assert claims.next_above(10, {"a", "b"}, 0.0) is None
