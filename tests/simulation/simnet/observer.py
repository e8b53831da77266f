"""The observer: it sees every node from outside and says what must never happen."""

from collections.abc import Callable

from consensus.engine import Engine
from consensus.evidence import Evidence, verify_evidence
from consensus.signing import verify_certificate
from consensus.types import Address, BlockId, Certificate, ChainContext, ValidatorSet, VoteType
from tests.simulation.simnet.scheme import CHECKER, Block, key_of, short


class Violation(AssertionError):
    """An invariant does not hold. ``rule`` is its name, the same for the same kind of failure."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


class Observer:
    """Checks at every step, over all nodes and over all lives of each.

    agreement    all honest nodes decide the same block at a height
    validity     what they decide is a valid block on the block before
    certificate  each decision comes with a certificate of that block that verifies, and, counted apart
                 from the product's check, holds more than two thirds of the stake and no precommit of an
                 honest key that it did not make
    journal      what a last-signed record names stands in the journal, durably (``host.Host`` looks)
    double-sign  no honest key signs two things for one (chain, height, round, type)
    lock         a lock that a signature rests on is never given up for an earlier one
    round        a node never goes back behind a round it signed in
    accusation   nobody honest stands accused, and evidence always verifies
    state        locked_round <= valid_round <= round
    """

    def __init__(
        self,
        set_of: Callable[[int], ValidatorSet],
        context: ChainContext,
        is_honest: Callable[[int], bool],
    ) -> None:
        self._set_of = set_of
        self._is_honest = is_honest
        self._context = context
        self.blocks: dict[int, BlockId] = {}
        self.rounds: dict[int, int] = {}
        """Latest round in which anybody decided, by height."""
        self.top_round = 0
        """The highest round that anybody entered."""
        self.signed: dict[tuple[int, tuple[int, int, int]], object] = {}
        self.locks: dict[tuple[int, int], tuple[int, int]] = {}
        self.accused: set[int] = set()

    def signs(self, key: int, place: tuple[int, int, int], content: object) -> None:
        """An honest key's signature leaves its node."""
        earlier = self.signed.setdefault((key, place), content)
        if earlier != content:
            raise Violation("double-sign", f"key {key} signed two things at {place}")

    def state(self, node: int, engine: Engine) -> None:
        """After each step of an honest node."""
        locked, round = engine.locked_round, engine.round
        if not locked <= engine.valid_round <= round:
            raise Violation("state", f"node {node}: a lock or valid round from the future")
        bound = self.locks.get((node, engine.height or 0))
        if bound is None:
            return
        if locked < bound[0]:
            raise Violation("lock", f"node {node} forgot its lock of round {bound[0]}")
        if round < bound[1]:
            raise Violation("round", f"node {node} is back in round {round} from {bound[1]}")

    def rests_on(self, node: int, height: int, lock: tuple[int, int]) -> None:
        """What an honest node has signed with this (locked round, round) is durable."""
        self.locks[node, height] = lock

    def decides(self, certificate: Certificate, block: Block, tip: BlockId, length: int) -> None:
        """An honest node stores a decision on a chain of ``length`` blocks that ends in ``tip``."""
        height, block_id = certificate.height, certificate.block_id
        if height != length + 1:
            raise Violation("agreement", f"height {height} decided on {length} blocks")
        agreed = self.blocks.setdefault(height, block_id)
        if agreed != block_id:
            pair = f"{short(agreed)} and {short(block_id)}"
            raise Violation("agreement", f"two decisions at height {height}: {pair}")
        if not (block.good and block.id == block_id and block.parent == tip):
            raise Violation("validity", f"an invalid block was decided at height {height}")
        verify_certificate(self._context, self._set_of(height), certificate, CHECKER)
        self.weigh(certificate)
        self.rounds[height] = max(certificate.round, self.rounds.get(height, 0))

    def weigh(self, certificate: Certificate) -> None:
        """Count what stands behind a certificate that somebody honest relies on."""
        name = f"of height {certificate.height}, round {certificate.round}"
        place = (certificate.height, certificate.round, int(VoteType.PRECOMMIT))
        stake = total = 0
        for index, member in enumerate(self._set_of(certificate.height)):
            total += member.power
            if not certificate.signers >> index & 1:
                continue
            stake += member.power
            key = key_of(member.address)
            if self._is_honest(key) and self.signed.get((key, place)) != certificate.block_id:
                raise Violation("certificate", f"{name}: key {key} did not precommit that")
        if 3 * stake <= 2 * total:
            raise Violation("certificate", f"{name}: {stake} of {total} are behind it")

    def accuses(self, evidence: Evidence) -> None:
        """An honest node has evidence."""
        offence = evidence.offence
        verify_evidence(self._context, self._set_of(offence.height), evidence, CHECKER)
        key = key_of(Address(offence.validator))
        if self._is_honest(key):
            raise Violation("accusation", f"honest key {key} stands accused")
        self.accused.add(key)
