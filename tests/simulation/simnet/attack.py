"""Safety without any timing: an adversary that schedules everything and holds f of the stake.

It plays one height against the engines of the honest validators, round by round, with a purpose:

1. *Prepare.* Rounds that leave something behind: a polka that nobody has seen, a lock at a few.
2. *Decide.* Bring a few to lock a block, and one victim to decide it; everybody else must not learn.
3. *Turn.* Bring the others to decide something else: new blocks, blocks prepared before, with every
   proof of lock that can be passed off, and polkas for nil to shake locks.

The correct engine withstands every plan. What a plan is made of is drawn from the seed; each rule of
the protocol that is left out is found by some of them within tens of seeds.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from consensus.effects import BuildValue, Decided, Effect, SendProposal, SendVote, StartTimeout
from consensus.engine import Engine
from consensus.inputs import (
    Input,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    ValueBuilt,
    VoteReceived,
)
from consensus.round_state import Step
from consensus.types import (
    NO_ROUND,
    Address,
    BlockId,
    Height,
    Proposal,
    Round,
    TimeoutKind,
    Validator,
    ValidatorSet,
    Vote,
    VoteType,
)
from tests.simulation.simnet.observer import Violation
from tests.simulation.simnet.scheme import address, short

PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT
ROUNDS = 14
POWERS = (
    (1, 1, 1, 1),
    (1, 1, 1, 1),
    (1,) * 5,
    (1,) * 7,
    (3, 3, 3, 1),
    (3, 3, 2, 2, 1),
    (2, 2, 2, 1, 1, 1),
    (5, 4, 3, 2, 1, 1, 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen in one round. Nodes are honest validators."""

    hear_proposal: frozenset[Address]
    see_polka: frozenset[Address]
    see_commit: frozenset[Address]
    full_nil: bool
    """Everything is told to everybody; without a proposal that makes a polka for nil."""


class Attack:
    """One height under attack. ``trace`` tells the story, ``decisions`` its end."""

    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(f"attack {seed}")
        powers = draw.choice(POWERS)
        keys = [address(i) for i in range(len(powers))]
        draw.shuffle(keys)
        self.set = ValidatorSet(
            Validator(address=key, power=power) for key, power in zip(keys, powers, strict=True)
        )
        self.height = Height(draw.randint(1, sum(powers)))
        self.faulty = self._pick_faulty(keys)
        self.nodes = {key: Engine() for key in keys if key not in self.faulty}
        self.votes: dict[tuple[VoteType, int], dict[Address, Vote]] = {}
        self.proposals: dict[int, list[Proposal]] = {}
        self.blocks: list[BlockId] = []
        self.timers: dict[Address, dict[TimeoutKind, TimeoutElapsed]] = {k: {} for k in self.nodes}
        self.signed: dict[object, object] = {}
        self.decisions: dict[Address, Decided] = {}
        self.reproposals = 0
        self.trace: list[str] = []
        for key in self.nodes:
            self._feed(key, StartHeight(height=self.height, validators=self.set, me=key))

    def _pick_faulty(self, keys: list[Address]) -> frozenset[Address]:
        """As much stake as can be faulty, less than a third."""
        faulty: list[Address] = []
        for key in self.draw.sample(keys, len(keys)):
            if 3 * self.power([*faulty, key]) < sum(v.power for v in self.set):
                faulty.append(key)
        return frozenset(faulty)

    def power(self, keys: Iterable[Address]) -> int:
        """Stake of these keys."""
        return sum(self.set.power_of(key) for key in keys)

    def run(self) -> None:
        """Attack for a while.

        Raises:
            Violation: it succeeded.
        """
        for number in range(ROUNDS):
            round = Round(number)
            undecided = [key for key in self.nodes if key not in self.decisions]
            if not self.set.is_quorum(self.power(undecided) + self.power(self.faulty)):
                return  # too many are done, or all: nothing can be turned any more
            for key in undecided:
                self._bring(key, round)
            self._play(round, [key for key in undecided if self.nodes[key].round == round])

    # ------------------------------------------------------------------ one round

    def _play(self, round: Round, nodes: list[Address]) -> None:
        plan = self._plan(nodes)
        self._propose(round, nodes, plan)
        for key in nodes:
            self._elapse(key, TimeoutKind.PROPOSE, Step.PROPOSE)
        target = self._target(PREVOTE, round)
        self.trace.append(
            f"round {round}: {short(target)} seen by {len(plan.see_polka)},"
            f" committed to {len(plan.see_commit)} of {len(nodes)}"
        )
        for key in self._shuffled(nodes):
            self._poll(key, PREVOTE, round, target, shown=key in plan.see_polka, plan=plan)
            self._elapse(key, TimeoutKind.PREVOTE, Step.PREVOTE)
        target = self._target(PRECOMMIT, round)
        for key in self._shuffled(nodes):
            self._poll(key, PRECOMMIT, round, target, shown=key in plan.see_commit, plan=plan)

    def _plan(self, nodes: list[Address]) -> Plan:
        draw = self.draw
        everyone, nobody = frozenset(nodes), frozenset[Address]()
        mood = draw.random()
        if self.decisions:  # turn the others
            if mood < 0.3:
                hears = everyone if draw.random() < 0.3 else nobody
                return Plan(hear_proposal=hears, see_polka=nobody, see_commit=nobody, full_nil=True)
            return Plan(
                hear_proposal=everyone, see_polka=everyone, see_commit=everyone, full_nil=False
            )
        if mood < 0.15:  # nothing comes of the round
            return Plan(hear_proposal=nobody, see_polka=nobody, see_commit=nobody, full_nil=True)
        hears = everyone if draw.random() < 0.7 else self._some(nodes)
        if mood < 0.35:  # a polka that nobody sees
            return Plan(hear_proposal=hears, see_polka=nobody, see_commit=nobody, full_nil=False)
        sees = self._just_enough(nodes) if draw.random() < 0.6 else self._some(nodes)
        if mood < 0.5:  # a few locks
            return Plan(hear_proposal=hears, see_polka=sees, see_commit=nobody, full_nil=False)
        lightest = sorted(sees or everyone, key=lambda k: (self.power([k]), k))
        victim = frozenset(lightest[:1])
        return Plan(hear_proposal=hears, see_polka=sees, see_commit=victim, full_nil=False)

    def _some(self, nodes: list[Address]) -> frozenset[Address]:
        return frozenset(key for key in nodes if self.draw.random() < 0.5)

    def _just_enough(self, nodes: list[Address]) -> frozenset[Address]:
        """Nodes that make a quorum with the faulty ones and no node more."""
        chosen: list[Address] = []
        for key in self._shuffled(nodes):
            if not self.set.is_quorum(self.power(chosen) + self.power(self.faulty)):
                chosen.append(key)
        return frozenset(chosen)

    def _shuffled(self, nodes: Iterable[Address]) -> list[Address]:
        ordered = sorted(nodes)
        self.draw.shuffle(ordered)
        return ordered

    # ------------------------------------------------------------------ proposals

    def _propose(self, round: Round, nodes: list[Address], plan: Plan) -> None:
        turn = self.set.proposer(self.height, round).address
        if turn in self.faulty:
            for _ in range(self.draw.choice((1, 1, 2, 2, 3))):
                self._lie(turn, round)
        variants = self.proposals.get(round, [])
        if not variants:
            return
        sides = {key: self.draw.choice(variants) for key in sorted(nodes)}
        if self.draw.random() < 0.4:
            sides = dict.fromkeys(sides, variants[0])
        for key in nodes:
            if key not in plan.hear_proposal or key == turn:
                continue
            proposal = sides[key]
            if proposal.pol_round != NO_ROUND:
                self._show(key, PREVOTE, proposal.pol_round, proposal.block_id)
            for variant in (proposal, *(v for v in variants if v is not proposal)):
                self._feed(key, ProposalReceived(proposal=variant, valid=True))
                if self.draw.random() < 0.5:
                    break

    def _lie(self, turn: Address, round: Round) -> None:
        """A proposal of a faulty key: new, or an old block with whatever proof of lock."""
        decided = {d.block_id for d in self.decisions.values()}
        old = [block for block in self.blocks if block not in decided]
        block_id = self.draw.choice(old) if old and self.draw.random() < 0.75 else self._new_block()
        voted = [
            r
            for r in range(round)
            if any(v.block_id == block_id for v in self.votes.get((PREVOTE, r), {}).values())
        ]
        pols = [NO_ROUND, *voted, *voted, *range(max(0, round - 1), round)]
        self._publish(turn, round, block_id, self.draw.choice(pols))

    def _new_block(self) -> BlockId:
        self.blocks.append(BlockId(self.draw.randbytes(32)))
        return self.blocks[-1]

    def _publish(
        self, key: Address, round: Round, block_id: BlockId, pol_round: int
    ) -> ProposalReceived:
        proposal = Proposal(
            height=self.height,
            round=round,
            block_id=block_id,
            pol_round=pol_round,
            proposer=key,
            signature=b"",
        )
        self.proposals.setdefault(round, []).append(proposal)
        return ProposalReceived(proposal=proposal, valid=True)

    # ------------------------------------------------------------------ votes

    def _target(self, type: VoteType, round: Round) -> BlockId | None:
        """The block to push: the one with most honest votes that is not decided already."""
        decided = {d.block_id for d in self.decisions.values()}
        tally: dict[BlockId, int] = {}
        for key, vote in self.votes.get((type, round), {}).items():
            if vote.block_id is not None and vote.block_id not in decided:
                tally[vote.block_id] = tally.get(vote.block_id, 0) + self.power([key])
        return max(tally, key=lambda block: (tally[block], block), default=None)

    def _poll(
        self,
        key: Address,
        type: VoteType,
        round: Round,
        target: BlockId | None,
        *,
        shown: bool,
        plan: Plan,
    ) -> None:
        """Let a node hear the round's votes: all of them, or just not enough for any block."""
        heard = self.votes.get((type, round), {})
        own = heard.get(key)
        side = own.block_id if own is not None and self.draw.random() < 0.5 else target
        if shown and side is not None:
            for voter in self._shuffled(heard):
                self._feed(key, VoteReceived(vote=heard[voter]))
            self._collude(key, type, round, side)
            return
        if plan.full_nil:
            for voter in self._shuffled(heard):
                self._feed(key, VoteReceived(vote=heard[voter]))
            self._collude(key, type, round, None)
            return
        self._confuse(key, type, round)

    def _confuse(self, key: Address, type: VoteType, round: Round) -> None:
        """A quorum of any votes, but none for a block."""
        heard = self.votes.get((type, round), {})
        self._collude(key, type, round, None)
        tally: dict[BlockId | None, int] = {None: self.power(self.faulty)}
        power = tally[None]
        own = heard.get(key)
        if own is not None:
            tally[own.block_id] = tally.get(own.block_id, 0) + self.power([key])
            power += self.power([key])
        for voter in self._shuffled(heard):
            vote, weight = heard[voter], self.power([voter])
            after = tally.get(vote.block_id, 0) + weight
            if voter == key or (vote.block_id is not None and self.set.is_quorum(after)):
                continue
            if self.set.is_quorum(power):
                return
            tally[vote.block_id] = after
            power += weight
            self._feed(key, VoteReceived(vote=vote))

    def _collude(
        self, key: Address, type: VoteType, round: Round, block_id: BlockId | None
    ) -> None:
        for liar in sorted(self.faulty):
            self._feed(key, VoteReceived(vote=self._vote(liar, type, round, block_id)))

    def _show(self, key: Address, type: VoteType, round: int, block_id: BlockId) -> None:
        """Everything that can be shown for a block in an earlier round."""
        for vote in list(self.votes.get((type, round), {}).values()):
            if vote.block_id == block_id:
                self._feed(key, VoteReceived(vote=vote))
        self._collude(key, type, Round(round), block_id)

    def _vote(self, key: Address, type: VoteType, round: Round, block_id: BlockId | None) -> Vote:
        return Vote(
            type=type,
            height=self.height,
            round=round,
            block_id=block_id,
            validator=key,
            signature=b"",
        )

    # ------------------------------------------------------------------ moving nodes on

    def _bring(self, key: Address, round: Round) -> None:
        """Get a node into a round without letting it decide."""
        engine = self.nodes[key]
        if engine.round >= round or key in self.decisions:
            return
        if round:
            self._confuse(key, PRECOMMIT, Round(round - 1))
            self._elapse(key, TimeoutKind.PRECOMMIT, None)
        if engine.round >= round or key in self.decisions:
            return
        others = [k for k in self._shuffled(self.nodes) if self.nodes[k].round == round]
        for other in others:  # L55
            for type in VoteType:
                vote = self.votes.get((type, round), {}).get(other)
                if vote is not None and engine.round < round:
                    self._feed(key, VoteReceived(vote=vote))
        if engine.round < round:
            self._collude(key, PREVOTE, round, None)

    def _elapse(self, key: Address, kind: TimeoutKind, step: Step | None) -> None:
        engine = self.nodes[key]
        timer = self.timers[key].get(kind)
        if timer is None or timer.timeout.round != engine.round or key in self.decisions:
            return
        if step is None or engine.round_step is step:
            self._feed(key, timer)

    # ------------------------------------------------------------------ the engines' hosts

    def _feed(self, key: Address, input: Input) -> None:
        if key in self.decisions:
            return
        engine = self.nodes[key]
        waiting = [input]
        while waiting:
            locked = engine.locked_round
            effects = engine.step(waiting.pop(0))
            if engine.locked_round < locked:
                raise Violation("lock", f"unlocked from round {locked}")
            answers = (self._perform(key, effect) for effect in effects)
            waiting.extend(answer for answer in answers if answer is not None)

    def _perform(self, key: Address, effect: Effect) -> Input | None:
        match effect:
            case BuildValue(height=height, round=round):
                return ValueBuilt(height=height, round=round, block_id=self._new_block())
            case SendProposal(round=round, block_id=block_id, pol_round=pol_round):
                self.reproposals += pol_round != NO_ROUND
                self._sign(key, ("proposal", round), (block_id, pol_round))
                return self._publish(key, round, block_id, pol_round)
            case SendVote(type=type, round=round, block_id=block_id):
                self._sign(key, (type, round), block_id)
                vote = self._vote(key, type, round, block_id)
                self.votes.setdefault((type, round), {})[key] = vote
                return VoteReceived(vote=vote)
            case StartTimeout(timeout=timeout):
                self.timers[key][timeout.kind] = TimeoutElapsed(timeout=timeout)
            case Decided():
                self.decisions[key] = effect
                self.trace.append(f"  {key[:4].hex()} decides {short(effect.block_id)}")
                if len({decided.block_id for decided in self.decisions.values()}) > 1:
                    raise Violation("agreement", "two honest nodes decided differently")
            case _:
                pass
        return None

    def _sign(self, key: Address, place: object, content: object) -> None:
        if self.signed.setdefault((key, place), content) != content:
            raise Violation("double-sign", f"two things at {place}")


def run_attack(seed: int) -> tuple[Attack, Violation | None]:
    """The attack of a seed, and the violation it led to, if any."""
    attack = Attack(seed)
    try:
        attack.run()
    except Violation as violation:
        return attack, violation
    return attack, None
