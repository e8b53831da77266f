"""Safety without any timing: an adversary that schedules everything and holds f of the stake.

It draws a plan for every node and round: whose votes the node misses, whether it sees the proposal,
and what the faulty keys tell it and nobody else. Timers fire as soon as there is nothing else left
to hear. There is no liveness here; what is checked is that no plan makes two honest nodes decide
differently, and that this very adversary does get through once a rule is left out (see
``test_the_adversary_is_not_toothless``).
"""

import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from consensus import (
    Address,
    BlockId,
    BuildValue,
    Decided,
    Effect,
    Engine,
    Height,
    Input,
    Proposal,
    ProposalReceived,
    Round,
    SendProposal,
    SendVote,
    StartHeight,
    StartTimeout,
    Step,
    TimeoutElapsed,
    TimeoutKind,
    Validator,
    ValidatorSet,
    ValueBuilt,
    Vote,
    VoteReceived,
    VoteType,
)
from consensus.round_state import (
    FreshProposal,
    Reproposal,
    RoundEvent,
    RoundState,
    Transition,
    apply,
)

RUNS = int(os.environ.get("ATOLL_SIM_SEEDS", "200")) * 2
ONLY = os.environ.get("ATOLL_SIM_SEED")
H = Height(1)
STEPS = 250


class Adversary:
    """One height, a pool of everything ever signed, and a random but hostile schedule."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"adversary {seed}")
        powers = self.random.choice([[1] * 4, [1] * 4, [1] * 7, [3, 3, 2, 2, 1]])
        keys = [Address(bytes([i]) * 20) for i in range(1, len(powers) + 1)]
        self.set = ValidatorSet(
            Validator(address=key, power=power) for key, power in zip(keys, powers, strict=True)
        )
        order = self.random.sample(keys, len(keys))
        self.faulty: list[Address] = []
        for key in order:
            if not self.set.is_skip(sum(map(self.set.power_of, [*self.faulty, key]))):
                self.faulty.append(key)
        if sum(map(self.set.power_of, self.faulty)) * 3 == self.set.total_power:
            self.faulty.pop()
        self.nodes = {key: Engine() for key in order if key not in self.faulty}
        self.pool: list[Input] = []
        self.timers: dict[Address, list[TimeoutElapsed]] = {key: [] for key in self.nodes}
        self.blocks: list[BlockId] = []
        self.signed: dict[object, object] = {}
        self.decisions: dict[Address, Decided] = {}
        self.favour = {key: self.random.random() ** 2 for key in self.nodes}
        self.seen: Counter[str] = Counter()
        self.plans: dict[tuple[Address, int], Plan] = {}
        for key in self.nodes:
            self.feed(key, StartHeight(height=H, validators=self.set, me=key))

    def new_block(self) -> BlockId:
        block_id = BlockId(self.random.randbytes(32))
        self.blocks.append(block_id)
        return block_id

    def feed(self, key: Address, item: Input) -> None:
        engine = self.nodes[key]
        own = [item]
        while own:
            locked = engine.locked_round
            effects = engine.step(own.pop(0))
            assert engine.locked_round >= locked
            for effect in effects:
                answer = self.perform(key, effect)
                if answer is not None:
                    own.append(answer)

    def perform(self, key: Address, effect: Effect) -> Input | None:
        match effect:
            case BuildValue(height=height, round=round):
                return ValueBuilt(height=height, round=round, block_id=self.new_block())
            case SendProposal(round=round, block_id=block_id, pol_round=pol_round):
                self.seen["reproposals"] += pol_round >= 0
                self.sign(key, ("proposal", round), (block_id, pol_round))
                return self.publish(self.proposal(key, round, block_id, pol_round))
            case SendVote(type=type, round=round, block_id=block_id):
                self.sign(key, (type, round), block_id)
                return self.publish(self.vote(key, type, round, block_id))
            case StartTimeout(timeout=timeout) if timeout.kind is not TimeoutKind.REBROADCAST:
                self.timers[key].append(TimeoutElapsed(timeout=timeout))
            case Decided():
                self.decisions[key] = effect
                ids = {decided.block_id for decided in self.decisions.values()}
                assert len(ids) == 1, "two honest nodes decided differently"
            case _:
                pass
        return None

    def sign(self, key: Address, subject: object, signed: object) -> None:
        earlier = self.signed.setdefault((key, subject), signed)
        assert earlier == signed, f"signed twice: {subject}"

    def publish(self, message: Input) -> Input:
        self.pool.append(message)
        return message

    def vote(
        self, key: Address, type: VoteType, round: Round, block_id: BlockId | None
    ) -> VoteReceived:
        return VoteReceived(
            vote=Vote(
                type=type, height=H, round=round, block_id=block_id, validator=key, signature=b""
            )
        )

    def proposal(
        self, key: Address, round: Round, block_id: BlockId, pol_round: int
    ) -> ProposalReceived:
        return ProposalReceived(
            proposal=Proposal(
                height=H,
                round=round,
                block_id=block_id,
                pol_round=pol_round,
                proposer=key,
                signature=b"",
            ),
            valid=True,
        )

    def step(self) -> None:
        """One node gets on: by a message, a lie, or a timer, as the plan for its round has it."""
        undecided = [key for key in self.nodes if key not in self.decisions]
        if not undecided:
            return
        weights = [0.05 + self.favour[key] for key in undecided]
        (key,) = self.random.choices(undecided, weights)
        engine = self.nodes[key]
        plan = self.plans.get((key, engine.round))
        if plan is None:
            plan = self.plans[key, engine.round] = Plan(self, key)
        if self.random.random() < 0.03:
            self.feed(key, self.random.choice(self.pool or [self.new_lie(engine)]))
            return
        waiting = [
            message
            for message in self.pool
            if id(message) not in plan.delivered
            and (
                _round_of(message) == engine.round
                or (plan.stuck and _round_of(message) > engine.round)
            )
            and (plan.stuck or plan.admits(message))
        ]
        if waiting:
            message = self.random.choice(waiting)
            plan.delivered.add(id(message))
            self.feed(key, message)
        elif plan.lies:
            self.tell(key, engine, plan.lies.pop())
        else:
            before = (engine.round, engine.round_step)
            for timer in [t for t in self.timers[key] if t.timeout.round == engine.round]:
                if (engine.round, engine.round_step) == before:
                    self.feed(key, timer)
            if (engine.round, engine.round_step) == before and not plan.stuck:
                plan.stuck = True
                plan.lies = ["nil precommit", "nil prevote"]

    def tell(self, victim: Address, engine: Engine, lie: str) -> None:
        """Give a node the faulty votes that push it towards a block, or away from it."""
        round = engine.round
        turn = self.set.proposer(H, round).address
        if lie == "proposal":
            if turn in self.faulty and engine.round_step is Step.PROPOSE:
                message = self.new_lie(engine)
                self.pool.append(message)
                self.feed(victim, message)
            return
        type = VoteType.PREVOTE if "prevote" in lie else VoteType.PRECOMMIT
        said = Counter(
            message.vote.block_id
            for message in self.pool
            if isinstance(message, VoteReceived)
            and (message.vote.type, message.vote.round) == (type, round)
            and message.vote.block_id is not None
        )
        block_id = None if "nil" in lie or not said else said.most_common(1)[0][0]
        for liar in self.faulty:
            self.feed(victim, self.vote(liar, type, round, block_id))

    def new_lie(self, engine: Engine) -> ProposalReceived:
        fresh = not self.blocks or self.random.random() < 0.6
        block_id = self.new_block() if fresh else self.random.choice(self.blocks)
        turn = self.set.proposer(H, engine.round).address
        pol_round = self.random.choice(range(-1, engine.round))
        return self.proposal(turn, engine.round, block_id, pol_round)


class Plan:
    """What one node hears in one round: whom it misses, and what it is told instead."""

    def __init__(self, adversary: Adversary, key: Address) -> None:
        draw = adversary.random
        others = [other for other in adversary.nodes if other != key]
        one = frozenset(draw.sample(others, 1))
        nobody: frozenset[Address] = frozenset()
        self.delivered: set[int] = set()
        self.stuck = False
        """Nothing moves it: now it hears everything."""
        self.hears_proposal = draw.random() < 0.9
        self.missing = {VoteType.PREVOTE: nobody, VoteType.PRECOMMIT: nobody}
        self.lies = ["precommit", "prevote", "proposal"]
        if adversary.decisions:
            return  # one has decided: now get the rest to agree on something else
        if draw.random() < 0.4:  # let it miss the polka
            self.missing[VoteType.PREVOTE] = one
            self.lies[1] = "nil prevote"
        if draw.random() < 0.7:  # let it miss the decision
            self.missing[VoteType.PRECOMMIT] = one
            self.lies[0] = "nil precommit"

    def admits(self, message: Input) -> bool:
        match message:
            case VoteReceived(vote=vote):
                return vote.validator not in self.missing[vote.type]
            case _:
                return self.hears_proposal


def _round_of(message: Input) -> int:
    match message:
        case ProposalReceived(proposal=signed) | VoteReceived(vote=signed):
            return signed.round
        case _:
            raise AssertionError(message)


def attack(seed: int) -> Adversary:
    try:
        adversary = Adversary(seed)
        for _ in range(STEPS):
            adversary.step()
    except AssertionError as failure:
        raise AssertionError(f"{failure}; replay with ATOLL_SIM_SEED={seed}") from failure
    return adversary


def test_no_schedule_makes_honest_nodes_disagree():
    seeds = range(RUNS) if ONLY is None else [int(ONLY)]
    decided = late = locks = reproposals = 0
    for seed in seeds:
        adversary = attack(seed)
        decided += bool(adversary.decisions)
        late += any(d.round > 0 for d in adversary.decisions.values())
        locks += any(engine.locked_round > 0 for engine in adversary.nodes.values())
        reproposals += adversary.seen["reproposals"]
    if ONLY is None:  # the attacks have to come to something
        assert decided > RUNS // 4
        assert late > RUNS // 20
        assert locks > RUNS // 20
        assert reproposals > RUNS // 20


def test_the_adversary_is_not_toothless(monkeypatch: pytest.MonkeyPatch):
    """Nodes that prevote in spite of their lock (L23, L29) are led to two decisions."""

    def forgetful(state: RoundState, event: RoundEvent) -> Transition:
        if not isinstance(event, FreshProposal | Reproposal):
            return apply(state, event)
        outcome = apply(replace(state, locked_round=-1, locked_block=None), event)
        if not outcome.effects:
            return Transition(state=state)
        kept = replace(
            outcome.state, locked_round=state.locked_round, locked_block=state.locked_block
        )
        return Transition(state=kept, effects=outcome.effects)

    monkeypatch.setattr("consensus.height.apply", forgetful)
    with pytest.raises(AssertionError, match="decided differently"):
        list(map(attack, range(500)))
