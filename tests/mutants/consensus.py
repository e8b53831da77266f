"""Mistakes in the engine and its checks of what others sign."""

from tests.mutants.mistake import Mistake

RULES, SIGNING, VOTES = (
    ("tests/unit/consensus/test_rules.py",),
    ("tests/unit/consensus/test_signing.py",),
    ("tests/unit/consensus/test_votes.py", "tests/property/test_consensus_vote_keeper.py"),
)
FORGED = ("tests/unit/consensus/test_forged.py",)
EVIDENCE = ("tests/unit/consensus/test_evidence.py",)
PAST = ("tests/unit/consensus/test_past.py",)

CONSENSUS = (
    Mistake(
        name="heads-for-stake",
        file="consensus/signing.py",
        old="""    power = sum(member.power for member in members)
    if not validators.is_quorum(power):""",
        new="""    power = sum(member.power for member in members)
    if 3 * len(members) <= 2 * len(validators):""",
        suite=FORGED,
    ),
    Mistake(
        name="two-thirds-are-a-quorum",
        file="consensus/types.py",
        old="return 3 * power > 2 * self.total_power",
        new="return 3 * power >= 2 * self.total_power",
        suite=FORGED,
    ),
    Mistake(
        name="a-third-is-more-than-a-third",
        file="consensus/types.py",
        old="return 3 * power > self.total_power",
        new="return 3 * power >= self.total_power",
        suite=SIGNING + RULES + VOTES,
    ),
    Mistake(
        name="anybody-signs-a-certificate",
        file="consensus/signing.py",
        old="if checker.recover(preimage, signature) != member.address:",
        new="if checker.recover(preimage, signature) is None:",
        suite=FORGED,
    ),
    Mistake(
        name="strangers-in-a-certificate",
        file="consensus/signing.py",
        old="if signers < 0 or signers >> len(validators):",
        new="if signers < 0:",
        suite=FORGED,
    ),
    Mistake(
        name="votes-of-all-types-are-one",
        file="consensus/signing.py",
        old="tag, height, round, type, found, block)",
        new="tag, height, round, 2, found, block)",
        suite=SIGNING,
    ),
    Mistake(
        name="anybody-proposes",
        file="consensus/signing.py",
        old="if proposal.proposer != validators.proposer(proposal.height, proposal.round).address:",
        new="if validators.proposer(proposal.height, proposal.round) is None:",
        suite=SIGNING,
    ),
    Mistake(
        name="the-turn-stays-for-all-rounds",
        file="consensus/types.py",
        old="turn = (height + round) % self._period",
        new="turn = height % self._period",
        suite=("tests/property/test_consensus_rotation.py",),
    ),
    Mistake(
        name="a-round-is-left-out",
        file="consensus/height.py",
        old="event = self._new_round(Round(state.round + 1))",
        new="event = self._new_round(Round(state.round + 2))",
        suite=RULES,
    ),
    Mistake(
        name="repropose-without-a-polka",
        file="consensus/height.py",
        old="elif votes.has_quorum(VoteType.PREVOTE, proposal.pol_round, block_id):  # L28",
        new="else:  # L28",
        suite=RULES,
    ),
    Mistake(
        name="decide-what-is-not-here",
        file="consensus/height.py",
        old="            if proposals.is_valid(block_id):\n                precommits",
        new="            if block_id:\n                precommits",
        suite=RULES,
    ),
    Mistake(
        name="sign-where-we-have-signed",
        file="consensus/height.py",
        old="if self._index is None or self._votes.own(type, round, self._index):",
        new="if self._index is None:",
        suite=RULES,
    ),
    Mistake(
        name="a-late-polka-is-not-remembered",
        file="consensus/round_state.py",
        old="""            if state.step is not Step.PREVOTE:  # L37
                return Transition(state=valid_now)""",
        new="""            if state.step is not Step.PREVOTE:  # L37
                return same""",
        suite=RULES,
    ),
    Mistake(
        name="stake-counts-once-a-vote",
        file="consensus/votes.py",
        old="            ballot.power += power\n            decisive |=",
        new="        if True:\n            ballot.power += power\n            decisive |=",
        suite=VOTES,
    ),
    Mistake(
        name="skip-only-with-a-quorum",
        file="consensus/votes.py",
        old="if round > self._current and validators.is_skip(voices):",
        new="if round > self._current and validators.is_quorum(voices):",
        suite=VOTES,
    ),
    Mistake(
        name="a-quorum-of-any-votes-is-not-decisive",
        file="consensus/votes.py",
        old="            decisive |= self._reaches_quorum(ballot.power, power)\n",
        new="",
        suite=VOTES,
    ),
    Mistake(
        name="a-skip-is-not-decisive",
        file="consensus/votes.py",
        old="decisive = not validators.is_skip(voices - power)",
        new="decisive = False",
        suite=VOTES,
    ),
    Mistake(
        name="a-contradiction-is-not-told",
        file="consensus/votes.py",
        old="            if len(earlier) == 1:",
        new="            if len(earlier) == 2:",
        suite=VOTES,
    ),
    Mistake(
        name="a-fork-of-two-rounds-convicts",
        file="consensus/evidence.py",
        old="same_round = first.round == second.round",
        new="same_round = first.height == second.height",
        suite=EVIDENCE,
    ),
    Mistake(
        name="late-contradictions-unchecked",
        file="consensus/past.py",
        old="        self._check(decided.validators, message)\n        if not kept.checked:",
        new="        if not kept.checked:",
        suite=PAST,
    ),
)
