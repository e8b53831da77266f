"""The journal gives back what a height was fed, and only that."""

from pathlib import Path

import pytest

from consensus.inputs import TimeoutElapsed
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
from node.primitives.errors import CorruptData
from node.runtime import journal as module
from node.runtime.journal import Built, Journal, Judged, Started
from node.runtime.wire import ProposalMessage
from node.storage.wal import WriteAheadLog

A = BlockId(b"a" * 32)


def proposal(height: int, round_: int = 0, value: bytes = b"value") -> ProposalMessage:
    return ProposalMessage(
        proposal=Proposal(
            height=Height(height),
            round=Round(round_),
            block_id=A,
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
    with WriteAheadLog(path) as log:
        return Journal(log).replay(height)


def test_the_last_height_is_replayed_in_order(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    built = Built(height=8, round=0, block_id=BlockId(b"b" * 32), value=b"own")
    with WriteAheadLog(path) as log:
        journal = Journal(log)
        journal.start(7)
        journal.vote(vote(7))
        journal.start(8)
        journal.built(built)
        journal.judged(proposal(8), True)
        journal.vote(vote(8))
        journal.timeout(timeout(8))
        journal.sync()
    assert reopened(path, 8) == [
        Started(height=8),
        built,
        Judged(message=proposal(8), valid=True),
        vote(8),
        TimeoutElapsed(timeout=timeout(8)),
    ]
    assert reopened(path, 9) == []


def test_a_height_that_was_started_twice_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with WriteAheadLog(path) as log:
        journal = Journal(log)
        journal.start(8)
        journal.vote(vote(8))
        journal.start(8)
        journal.timeout(timeout(8))
        journal.sync()
    records = reopened(path, 8)
    assert records == [Started(height=8), vote(8), TimeoutElapsed(timeout=timeout(8))]


def test_a_value_is_written_once_and_an_invalid_one_never(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    value = b"v" * 100_000
    with WriteAheadLog(path) as log:
        journal = Journal(log)
        journal.start(8)
        for round_ in range(20):
            journal.judged(proposal(8, round_, value), round_ > 0)
            journal.sync()
        assert 100_000 < log.size < 110_000
    records = reopened(path, 8)
    judged = [r for r in records if isinstance(r, Judged)]
    assert [r.message.value for r in judged] == [b""] + [value] * 19

    with WriteAheadLog(path) as log:  # the value is known after a replay, too
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
    with WriteAheadLog(tmp_path / "wal") as log:
        journal = Journal(log)
        for height in range(1, 50):
            journal.start(height)
            journal.judged(proposal(height, value=b"x" * 200), True)
            journal.sync()
            assert log.size < 2000
    assert len(reopened(tmp_path / "wal", 49)) == 2


@pytest.mark.parametrize(
    "raw", [b"", b"\x63", b"\x01", b"\x02", b"\x02\x01\x09", b"\x04\x63" + b"\0" * 12, b"\x05x"]
)
def test_a_record_that_is_none_says_so(tmp_path: Path, raw: bytes) -> None:
    with WriteAheadLog(tmp_path / "wal") as log:
        log.append(raw)
        log.sync()
    with pytest.raises(CorruptData, match="wal"):
        reopened(tmp_path / "wal", 1)
