"""Mistakes in the consensus host: signer, journal, what is taken from peers, sync."""

from tests.mutants.mistake import Mistake

SIGNER = ("tests/unit/engine/test_signer.py",)
DRIVER = ("tests/unit/engine/test_height_driver.py",)
JOURNAL = ("tests/unit/engine/test_journal.py",)
HOSTILE = ("tests/unit/engine/test_hostile.py",)
OBJECTIONS = ("tests/unit/engine/test_objections.py",)
ADMISSION = ("tests/unit/engine/test_admission.py",)

HOST = (
    Mistake(
        name="sign-twice-at-one-place",
        file="node/engine/signer.py",
        old="        if last is None or place > last.place:",
        new="        if last is None or place >= last.place:",
        suite=SIGNER,
    ),
    Mistake(
        name="forget-what-is-not-recorded-yet",
        file="node/engine/signer.py",
        old="last, place = self._latest(), (self._first + height, round_, step)",
        new="last, place = self.record.load(), (self._first + height, round_, step)",
        suite=SIGNER,
    ),
    Mistake(
        name="eras-share-their-positions",
        file="node/engine/signer.py",
        old="self._first = context.era << ERA_SHIFT",
        new="self._first = 0",
        suite=SIGNER,
    ),
    Mistake(
        name="send-before-the-disk",
        file="node/engine/height_driver.py",
        old="""            self._out.append(MakeDurable(signed=signed))
            self._out += [Send(message=message) for message in self._unsent]
""",
        new="""            self._out += [Send(message=message) for message in self._unsent]
            self._out.append(MakeDurable(signed=signed))
""",
        suite=DRIVER,
    ),
    Mistake(
        name="durable-by-word-only",
        file="node/engine/participant.py",
        old="                    await self._on_disk(partial(self._signer.commit, signed, self._journal.log))",
        new="                    pass",
        suite=JOURNAL + SIGNER + ("tests/unit/engine/test_sigkill.py",),
    ),
    Mistake(
        name="the-record-goes-ahead-of-the-log",
        file="node/engine/height_driver.py",
        old="            last = self._unsent[-1]\n",
        new="            last = self._unsent[0]\n",
        suite=DRIVER,
    ),
    Mistake(
        name="a-decision-is-told-before-our-vote",
        file="node/engine/height_driver.py",
        old="""            self._told = True
            self._flush()
""",
        new="""            self._told = True
""",
        suite=DRIVER,
    ),
    Mistake(
        name="blocks-are-executed-again-and-again",
        file="node/engine/height_driver.py",
        old="if isinstance(job, Judge) and job.message.proposal.block_id in self._values:",
        new="if isinstance(job, Judge) and job.message.proposal.block_id in ():",
        suite=DRIVER,
    ),
    Mistake(
        name="what-is-over-counts",
        file="node/engine/work_queue.py",
        old="        if self._running is not job:\n            return False\n",
        new="",
        suite=DRIVER,
    ),
    Mistake(
        name="what-the-log-says-we-signed-is-signed-before",
        file="node/engine/height_driver.py",
        old="        self._signer.remember(message)\n",
        new="",
        suite=("tests/unit/engine/test_height_driver.py",),
    ),
    Mistake(
        name="replayed-votes-are-not-recorded",
        file="node/engine/height_driver.py",
        old="        self._out.append(NoteSigned(message=message))\n",
        new="",
        suite=SIGNER + JOURNAL,
    ),
    Mistake(
        name="timeouts-are-not-logged",
        file="node/engine/height_driver.py",
        old="""            if timeout.kind is not TimeoutKind.REBROADCAST:
                self._append(elapsed)
""",
        new="",
        suite=DRIVER,
    ),
    Mistake(
        name="a-second-start-forgets-the-first",
        file="node/engine/journal.py",
        old="                if active and out:\n                    continue",
        new="                if active:\n                    out.clear()",
        suite=JOURNAL,
    ),
    Mistake(
        name="heights-of-all-eras-are-one",
        file="node/engine/journal.py",
        old="active = (record.era, record.height) == (self._era, height)",
        new="active = record.height == height",
        suite=JOURNAL,
    ),
    Mistake(
        name="a-snapshot-without-the-lock",
        file="node/engine/journal.py",
        old="            _encode_choice(state.locked_round, state.locked_block),\n",
        new="            _encode_choice(NO_ROUND, None),\n",
        suite=JOURNAL,
    ),
    Mistake(
        name="nobody-is-asked-for-objections",
        file="node/engine/height_driver.py",
        old="                reason = self._blocks.objection(proposal.block_id)",
        new="                reason = None",
        suite=OBJECTIONS,
    ),
    Mistake(
        name="a-block-with-a-polka-is-objected-to",
        file="node/engine/height_driver.py",
        old="            if proposal.pol_round == NO_ROUND:",
        new="            if proposal.pol_round >= NO_ROUND:",
        suite=OBJECTIONS,
    ),
    Mistake(
        name="the-proposer-answers-for-who-passes-on",
        file="node/engine/height_driver.py",
        old="        if reason is not None and sender != proposal.proposer:",
        new="        if reason is not None and sender is None:",
        suite=HOSTILE,
    ),
    Mistake(
        name="votes-beyond-the-allowance-are-written",
        file="node/engine/height_driver.py",
        old="        if not self._admission.admit_vote(vote, self._now):",
        new="        if not self._admission.admit_vote(vote, self._now) and self._now < 0:",
        suite=HOSTILE,
    ),
    Mistake(
        name="votes-are-saved-up-for-ever",
        file="node/engine/admission.py",
        old="tokens = min(VOTES_BURST, tokens + (now - at) * VOTES_PER_SECOND)",
        new="tokens = tokens + (now - at) * VOTES_PER_SECOND",
        suite=ADMISSION,
    ),
    Mistake(
        name="decided-blocks-without-a-certificate",
        file="node/engine/host.py",
        old="        verify_certificate(self.app.context, self.app.validators(), certificate, self._checker)\n",
        new="",
        suite=HOSTILE,
    ),
    Mistake(
        name="a-flooder-fills-the-mailbox",
        file="node/engine/mailbox.py",
        old="                quota.frames >= self._peer_frames\n",
        new="                quota.frames < 0\n",
        suite=ADMISSION,
    ),
    Mistake(
        name="sync-takes-any-height",
        file="node/engine/sync.py",
        old="        if certificate.height != start + offset:",
        new="        if certificate.height < start:",
        suite=("tests/unit/engine/test_sync.py",),
    ),
    Mistake(
        name="a-page-may-be-empty-for-ever",
        file="node/engine/sync.py",
        old="if page.head < claimed or (page.head >= start and not messages):",
        new="if page.head < claimed:",
        suite=("tests/unit/engine/test_sync.py",),
    ),
    Mistake(
        name="liars-are-believed-at-once",
        file="node/engine/peer_heights.py",
        old="if peer in connected and self._benched.get(peer, (now, 0.0))[0] <= now",
        new="if peer in connected",
        suite=("tests/unit/engine/test_sync.py",),
    ),
    Mistake(
        name="a-claim-outlives-its-lie",
        file="node/engine/peer_heights.py",
        old="        self._heights.pop(peer, None)\n        _, length",
        new="        _, length",
        suite=("tests/unit/engine/test_sync.py",),
    ),
    Mistake(
        name="always-the-same-peer-is-asked",
        file="node/engine/peer_heights.py",
        old="        self._asked[chosen] = self._questions\n",
        new="",
        suite=("tests/unit/engine/test_sync.py",),
    ),
)
