"""The validator's part in one chain, on this machine: performs the effects of the height driver.

Their choice and order are up to `node.engine.height_driver`. Here are the disk, the clock, the network and the
task that executes blocks.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import structlog
import trio

from consensus.evidence import Evidence
from consensus.params import TimeoutParams
from consensus.signing import SignatureChecker
from consensus.types import Address, BlockId, Certificate, Proposal, Vote
from node.concurrency.worker import OnDisk, at_once
from node.engine.application import FAULTS, Application, EffectFailed
from node.engine.block_work import BlockWork
from node.engine.effects import (
    Accuse,
    Append,
    Build,
    Commit,
    Compact,
    Judge,
    MakeDurable,
    NoteSigned,
    Remark,
    Send,
    SyncJournal,
)
from node.engine.height_driver import Effects, HeightDriver
from node.engine.journal import Journal
from node.engine.signer import Signer
from node.metrics.counts import ConsensusCounts
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from node.wire import ProposalMessage

Accuser = Callable[[Vote | Proposal, Vote | Proposal], None]


class Participant:
    """Everything that signs. Used by one task only (the host's), but for `work`, which has its own.

    `on_disk` is how the disk is waited for; `accuse` is given two messages by which a key has
    contradicted itself, after a restart once more.
    """

    def __init__(
        self,
        *,
        app: Application,
        signer: Signer,
        journal: Journal,
        checker: SignatureChecker,
        timeouts: TimeoutParams,
        broadcast: Callable[[ProposalMessage | Vote], None],
        accuse: Accuser = lambda first, second: None,
        on_disk: OnDisk = at_once,
    ) -> None:
        self._app = app
        self._signer = signer
        self._journal = journal
        self._broadcast = broadcast
        self._accuse = accuse
        self._on_disk = on_disk
        self.driver = HeightDriver(
            blocks=app,
            signer=signer,
            checker=checker,
            timeouts=timeouts,
            validators=app.validators(),
        )
        self.decision: Commit | None = None
        """The decision that is not committed yet."""
        self._work = BlockWork(app)
        self._log = structlog.get_logger().bind(chain=app.context.tag.decode())

    @property
    def files(self) -> tuple[WriteAheadLog, LastSigned]:
        """The files of what was signed: the journal and the last-signed record."""
        return self._journal.log, self._signer.record

    @property
    def counts(self) -> ConsensusCounts:
        return self.driver.counts

    @property
    def precommitted(self) -> int:
        """The highest height at which our key has precommitted a block, or may have before a restart."""
        return self._signer.precommitted

    @property
    def round(self) -> int:
        return self.driver.round

    @property
    def began(self) -> float | None:
        """When the height did, in trio's time; None if it did not, or is unknown."""
        return self.driver.began

    @property
    def is_member(self) -> bool:
        """True if our key has a seat in the committee of the next height. A jailed key has none, ever again.
        Nor has any key while the next height is one of an earlier era, which has long been decided.
        """
        here = self._app.context == self._signer.context
        return here and self._signer.address in self._app.validators()

    # ------------------------------------------------------------------ inputs

    async def start(self, height: int) -> None:
        """Begin a height that was not begun before."""
        self._forget()
        await self._feed(self.driver.start(height, self._app.validators(), trio.current_time()))

    async def recover(self) -> bool:
        """Replay the journal, once. True if the next height had been started and goes on now."""
        height = self._app.head_height() + 1
        records = self._journal.replay(height)
        if not records:
            return False
        self._forget()
        validators, now = self._app.validators(), trio.current_time()
        await self._feed(self.driver.recover(records, height, validators, now))
        return True

    async def leave(self, certificate: Certificate) -> None:
        """The height is decided and committed, by ourselves or others."""
        self._forget()
        await self._perform(self.driver.leave(certificate, self._app.validators()))

    def _forget(self) -> None:
        self._work.clear()
        self.decision = None

    def check(self, message: ProposalMessage | Vote) -> None:
        """Raise the fault of the sender of a message of the next height: see `HeightDriver.check`."""
        self.driver.check(message, self._app.validators())

    async def receive(self, message: ProposalMessage | Vote, sender: Address | None) -> None:
        """A message of this height. Raises the sender's fault, as `check`."""
        await self._feed(self.driver.receive(message, sender, trio.current_time()))

    async def late(self, message: ProposalMessage | Vote) -> None:
        """A message, not checked, of a height that is decided. Raises the sender's fault, as `check`."""
        await self._perform(self.driver.late(message))

    def next_timer(self) -> float:
        return self.driver.next_timer()

    async def fire_timers(self, now: float) -> None:
        """Step every timeout that is due, in the order of their times."""
        await self._feed(self.driver.fire_timers(now))

    async def resend(self) -> None:
        """Send again the messages that the height needs, without waiting for the timer: a peer has
        come back.
        """
        await self._feed(self.driver.resend(trio.current_time()))

    async def flush(self) -> None:
        """Send the signed messages, once they are on disk with all that led to them."""
        await self._perform(self.driver.flush())

    # ------------------------------------------------------------------ work beside

    async def work(self, done: Callable[[], None]) -> None:
        """Build and judge until cancelled, in a task of its own; `done` asks for `finish` to be called."""
        await self._work.run(done)

    def paused(self, block_id: BlockId) -> AbstractAsyncContextManager[None]:
        """No block is built or judged inside, where this one becomes the head."""
        return self._work.paused(block_id)

    async def finish(self) -> None:
        """Take the outcome of building or judging, if its height is still under way."""
        outcome = self._work.take()
        if outcome is not None:
            await self._feed(self.driver.executed(outcome, trio.current_time()))

    # ------------------------------------------------------------------ effects

    async def _feed(self, effects: Effects) -> None:
        """Perform the effects of an input."""
        await self._perform(effects)
        if self._journal.is_long:
            await self._perform(self.driver.compact())

    async def _perform(self, effects: Effects) -> None:
        """Perform effects. Whatever fails here is no fault of the peer whose message led to it."""
        try:
            await self._perform_all(effects)
        except FAULTS as error:
            raise EffectFailed(f"{type(error).__name__}: {error}") from error

    async def _perform_all(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Append(record=record):
                    self._journal.append(record)
                case MakeDurable(signed=signed):
                    await self._on_disk(partial(self._signer.commit, signed, self._journal.log))
                case Send(message=message):
                    self._broadcast(message)
                case SyncJournal():
                    self._journal.sync()
                case NoteSigned(message=signed):
                    self._signer.note(signed)
                case Compact(snapshot=snapshot, values=values):
                    self._journal.compact(snapshot, values.__getitem__)
                    size = self._journal.size
                    self._log.info("journal compacted", round=self.round, bytes=size)
                case Judge() | Build():
                    self._work.begin(effect)
                case Commit():
                    self.decision = effect
                case Accuse(evidence=evidence):
                    self._told_on(evidence)
                case Remark(event=event, fields=fields, level=level):
                    getattr(self._log, level)(event, **fields)

    def _told_on(self, evidence: Evidence) -> None:
        offence = evidence.offence
        self._log.error(
            "equivocation",
            validator="0x" + offence.validator.hex(),
            height=offence.height,
            round=offence.round,
        )
        self._accuse(evidence.first, evidence.second)
