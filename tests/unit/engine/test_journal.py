"""The journal gives back what a height was fed, and only that."""

from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest

from consensus.inputs import ProposalReceived, Snapshot, TimeoutElapsed
from consensus.round_state import RoundState, Step
from consensus.types import (
    Address,
    BlockId,
    Height,
    Proposal,
    Round,
    Timeout,
    TimeoutKind,
    Vote,
    VoteType,
)
from node.engine import journal as module
from node.engine.journal import Journal
from node.engine.records import Built, HeightStarted, Judged, Resumed
from node.primitives.errors import CorruptData
from node.storage.wal import WriteAheadLog, scan_records
from node.wire import ProposalMessage

A, C, D = (BlockId(letter * 32) for letter in (b"a", b"c", b"d"))


def proposal(
    height: int, round_: int = 0, value: bytes = b"value", block: bytes = A
) -> ProposalMessage:
    return ProposalMessage(
        proposal=Proposal(
            height=Height(height),
            round=Round(round_),
            block_id=BlockId(block),
            pol_round=-1,
            proposer=Address(b"p" * 20),
            signature=b"s" * 65,
        ),
        value=value,
    )


def vote(height: int) -> Vote:
    return Vote(
        type=VoteType.PREVOTE,
        height=Height(height),
        round=Round(0),
        block_id=None,
        validator=Address(b"v" * 20),
        signature=b"s" * 65,
    )


def timeout(height: int) -> Timeout:
    return Timeout(kind=TimeoutKind.PRECOMMIT, height=Height(height), round=Round(3))


def reopened(path: Path, height: int) -> list[module.Record]:
    with closing(WriteAheadLog(path)) as log:
        return Journal(log).replay(height)


def test_the_last_height_is_replayed_in_order(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    built = Built(height=8, round=0, block_id=BlockId(b"b" * 32), value=b"own")
    with closing(WriteAheadLog(path)) as log:
        journal = Journal(log)
        journal.start(HeightStarted(height=7))
        journal.vote(vote(7))
        journal.start(HeightStarted(height=8))
        journal.built(built)
        journal.judged(proposal(8), True)
        journal.vote(vote(8))
        journal.timeout(timeout(8))
        journal.sync()
    assert reopened(path, 8) == [
        HeightStarted(height=8),
        built,
        Judged(message=proposal(8), valid=True),
        vote(8),
        TimeoutElapsed(timeout=timeout(8)),
    ]
    assert reopened(path, 9) == []


def test_a_height_that_was_started_twice_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path)) as log:
        journal = Journal(log)
        journal.start(HeightStarted(height=8))
        journal.vote(vote(8))
        journal.start(HeightStarted(height=8))
        journal.timeout(timeout(8))
        journal.sync()
    records = reopened(path, 8)
    assert records == [HeightStarted(height=8), vote(8), TimeoutElapsed(timeout=timeout(8))]


def test_a_value_is_written_once_and_an_invalid_one_never(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    value = b"v" * 100_000
    with closing(WriteAheadLog(path)) as log:
        journal = Journal(log)
        journal.start(HeightStarted(height=8))
        for round_ in range(20):
            journal.judged(proposal(8, round_, value), round_ > 0)
            journal.sync()
        assert 100_000 < log.size < 110_000
    records = reopened(path, 8)
    judged = [r for r in records if isinstance(r, Judged)]
    assert [r.message.value for r in judged] == [b""] + [value] * 19

    with closing(WriteAheadLog(path)) as log:  # the value is known after a replay, too
        journal = Journal(log)
        journal.replay(8)
        before = log.size
        journal.judged(proposal(8, 30, value), True)
        journal.sync()
        assert log.size < before + 1000


def test_the_log_is_emptied_when_it_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESET_BYTES", 1000)
    with closing(WriteAheadLog(tmp_path / "wal")) as log:
        journal = Journal(log)
        for height in range(1, 50):
            journal.start(HeightStarted(height=height))
            journal.judged(proposal(height, value=b"x" * 200), True)
            journal.sync()
            assert log.size < 2000
    assert len(reopened(tmp_path / "wal", 49)) == 2


@pytest.mark.parametrize(
    "raw", [b"", b"\x63", b"\x01", b"\x02", b"\x02\x01\x09", b"\x04\x63" + b"\0" * 12, b"\x05x"]
)
def test_a_record_that_is_none_says_so(tmp_path: Path, raw: bytes) -> None:
    with closing(WriteAheadLog(tmp_path / "wal")) as log:
        log.append(raw)
        log.sync()
    with pytest.raises(CorruptData, match="wal"):
        reopened(tmp_path / "wal", 1)


def snapshot(*proposals: tuple[ProposalMessage, bool], locked: BlockId | None = None) -> Snapshot:
    return Snapshot(
        state=RoundState(
            height=Height(8),
            round=Round(5),
            step=Step.PREVOTE,
            locked_round=-1 if locked is None else 2,
            locked_block=locked,
            valid_round=-1 if locked is None else 3,
            valid_block=locked,
            prevote_timeout_started=True,
        ),
        proposals=tuple(
            ProposalReceived(proposal=message.proposal, valid=valid) for message, valid in proposals
        ),
        votes=(vote(8), replace(vote(8), round=Round(1))),
    )


def test_a_compacted_journal_goes_on_from_the_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    older, bad = proposal(8, 2), proposal(8, 4, b"", block=b"b" * 32)
    with closing(WriteAheadLog(path)) as log:
        journal = Journal(log)
        journal.start(HeightStarted(height=8))
        journal.judged(older, True)
        journal.judged(proposal(8, 1, b"forgotten", block=D), True)
        journal.vote(vote(8))
        again, new = proposal(8, 5), proposal(8, 5, b"new", block=C)
        taken = snapshot((older, True), (bad, False), (again, True), (new, True))
        journal.compact(taken, {A: b"value", C: b"new"}.__getitem__)
        kept = log.size
        journal.vote(replace(vote(8), round=Round(5)))
        journal.judged(proposal(8, 6), True)  # its value is there
        journal.judged(proposal(8, 7, b"forgotten", block=D), True)  # its value is not
        journal.sync()
    resumed, *after = reopened(path, 8)
    assert isinstance(resumed, Resumed)
    assert resumed.snapshot == taken
    values = [m.message.value for m in resumed.messages if isinstance(m, Judged)]
    assert values == [b"value", b"", b"value", b"new"], "of valid blocks, in whichever round"
    assert path.read_bytes()[:kept].count(b"value") == 1
    assert after[0] == replace(vote(8), round=Round(5))
    assert [r.message.value for r in after[1:] if isinstance(r, Judged)] == [b"value", b"forgotten"]
    assert reopened(path, 9) == reopened(path, 7) == []


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("flag", [None, *module._FLAGS])
def test_a_snapshot_keeps_the_whole_state(tmp_path: Path, step: Step, flag: str | None) -> None:
    state = RoundState(height=Height(2**40 - 1), round=Round(2**31), step=step)
    if flag is not None:
        state = replace(state, **{flag: True})
    with closing(WriteAheadLog(tmp_path / "wal")) as log:
        Journal(log).compact(Snapshot(state=state, proposals=(), votes=()), {}.__getitem__)
    (resumed,) = reopened(tmp_path / "wal", 2**40 - 1)
    assert isinstance(resumed, Resumed)
    assert resumed.state == state


def test_a_snapshot_keeps_the_lock(tmp_path: Path) -> None:
    """What we are locked on, and what we know to be valid, are two blocks of two rounds."""
    state = RoundState(
        height=Height(8), round=Round(5), step=Step.PREVOTE,
        locked_round=2, locked_block=A, valid_round=3, valid_block=C,
    )  # fmt: skip
    with closing(WriteAheadLog(tmp_path / "wal")) as log:
        Journal(log).compact(Snapshot(state=state, proposals=(), votes=()), {}.__getitem__)
    (resumed,) = reopened(tmp_path / "wal", 8)
    assert isinstance(resumed, Resumed)
    assert resumed.state == state


def test_no_part_of_the_state_is_forgotten() -> None:
    """A field that is added to the state has to get into the record."""
    whole = {
        "height",
        "round",
        "step",
        "locked_round",
        "locked_block",
        "valid_round",
        "valid_block",
    }
    assert {field.name for field in fields(RoundState)} == whole | set(module._FLAGS)


def test_a_compacted_journal_that_is_torn_loses_only_what_came_after(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path)) as log:
        journal = Journal(log)
        journal.start(HeightStarted(height=8))
        journal.compact(snapshot((proposal(8, 2), True), locked=A), {A: b"value"}.__getitem__)
        end = log.size
        journal.timeout(timeout(8))
        journal.sync()
    content = path.read_bytes()
    for length in range(end, len(content)):
        path.write_bytes(content[:length])
        assert len(reopened(path, 8)) == 1
    path.write_bytes(content)
    assert len(reopened(path, 8)) == 2


def test_a_snapshot_without_its_messages_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path)) as log:
        Journal(log).compact(snapshot(), {}.__getitem__)
        log.rewrite(list(payloads(path))[:-1])
    with pytest.raises(CorruptData, match="wal"):
        reopened(path, 8)


def test_a_snapshot_without_the_value_of_a_valid_block_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path)) as log:
        journal = Journal(log)
        journal.compact(snapshot((proposal(8, 2), True)), {A: b""}.__getitem__)
    with pytest.raises(CorruptData, match="lacks the value"):
        reopened(path, 8)


def payloads(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return scan_records(content, content[8:16]).payloads


def test_a_height_of_many_rounds_has_a_bounded_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMPACT_BYTES", 100_000)
    value, largest = b"v" * 10_000, 0
    with closing(WriteAheadLog(tmp_path / "wal")) as log:
        journal = Journal(log)
        journal.start(HeightStarted(height=8))
        for round_ in range(300):
            block = round_.to_bytes(32, "big")
            message = proposal(8, round_, value, block=block)
            journal.judged(message, True)
            journal.sync()
            largest = max(largest, log.size)
            if journal.is_long:
                journal.compact(snapshot((message, True)), {BlockId(block): value}.__getitem__)
    assert 100_000 < largest < 120_000
    assert len(reopened(tmp_path / "wal", 8)) < 12


def test_a_height_of_an_earlier_era_is_another_height(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path)) as log:
        journal = Journal(log)
        journal.start(HeightStarted(height=8))
        journal.vote(vote(8))
        journal.sync()
    with closing(WriteAheadLog(path)) as log:
        journal = Journal(log, era=2)
        assert journal.replay(8) == []
        with pytest.raises(ValueError, match="height 8 of era 0: here are those of 2"):
            journal.start(HeightStarted(height=8))
        journal.start(HeightStarted(height=8, era=2))
        journal.timeout(timeout(8))
        journal.sync()
    with closing(WriteAheadLog(path)) as log:
        records = Journal(log, era=2).replay(8)
        assert records == [HeightStarted(height=8, era=2), TimeoutElapsed(timeout=timeout(8))]
    with closing(WriteAheadLog(path)) as log:
        Journal(log, era=2).compact(snapshot(), {}.__getitem__)
    with closing(WriteAheadLog(path)) as log:
        assert Journal(log).replay(snapshot().state.height) == []
    with closing(WriteAheadLog(path)) as log:
        (resumed,) = Journal(log, era=2).replay(snapshot().state.height)
    assert isinstance(resumed, Resumed)
    assert resumed.state == snapshot().state
