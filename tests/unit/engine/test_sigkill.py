"""A validator that is killed by the operating system at each write and fsync of its life.

The whole of it is real but the chain: journal, last-signed record, signer, engine and host, on files. What
it says is kept in a file of its own, as its peers would keep it.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from consensus.codec import decode_certificate, encode_certificate
from consensus.params import TimeoutParams
from consensus.types import Address, BlockId, Certificate, Validator, ValidatorSet, Vote
from node.engine import journal as journal_module
from node.engine.host import ConsensusHost
from node.engine.journal import Journal
from node.engine.participant import Participant
from node.engine.signer import Signer
from node.primitives.basics import keccak_fast
from node.primitives.keys import SigningKey
from node.storage.files import write_atomically
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from node.wire import ProposalMessage

pytestmark = pytest.mark.slow

T = TypeVar("T")
HEIGHTS = 3
"""Decided in each life, if it is long enough."""


@pytest.fixture
def toy(request: pytest.FixtureRequest) -> ModuleType:
    """What the other tests here have: the chain of texts, the context, the pacing."""
    plugins = request.config.pluginmanager.get_plugins()
    here = str(Path(__file__).with_name("conftest.py"))
    found = next(p for p in plugins if getattr(p, "__file__", None) == here)
    assert isinstance(found, ModuleType)
    return found


class Killed:
    """Counts the calls that put something on the disk, and ends the process before or after one.

    Before a write, what it would have written is lost; between a write and its fsync it is there, as the
    machine goes on. (What torn writes leave is the business of the tests of the storage.)
    """

    def __init__(self, at: int, *, before: bool) -> None:
        self._left = at
        self._before = before

    def around(self, real: Callable[..., T]) -> Callable[..., T]:
        def call(*args: object) -> T:
            self._left -= 1
            if self._left == 0 and self._before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call


def load_chain(path: Path) -> Iterator[tuple[bytes, Certificate]]:
    if path.exists():
        for value, certificate in json.loads(path.read_text()):
            yield bytes.fromhex(value), decode_certificate(bytes.fromhex(certificate))


def store_chain(path: Path, blocks: list[tuple[bytes, Certificate]]) -> None:
    rows = [(value.hex(), encode_certificate(certificate).hex()) for value, certificate in blocks]
    write_atomically(path, json.dumps(rows).encode())


async def live(toy: ModuleType, folder: Path) -> None:
    """One life: decides some heights after the last one and ends."""
    key = SigningKey(keccak_fast(b"the only validator"))
    members = ValidatorSet([Validator(address=Address(key.address), power=1)])

    class FileChain(toy.ToyChain):  # type: ignore[name-defined, misc]
        async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
            await super().commit(block_id, value, certificate)
            store_chain(folder / "chain", self.blocks)

    app = FileChain(members=members, salt=f"life {os.getpid()}", work=True)
    app.blocks = list(load_chain(folder / "chain"))
    goal = app.head_height() + HEIGHTS
    said = os.open(folder / "said", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(message: ProposalMessage | Vote) -> None:
        if isinstance(message, Vote):
            place = [message.height, message.round, int(message.type)]
            block_id = message.block_id
        else:
            proposal = message.proposal
            place, block_id = [proposal.height, proposal.round, 0], proposal.block_id
        row = [place, None if block_id is None else block_id.hex()]
        os.writev(said, [json.dumps(row).encode(), b"\n"])

    with (
        closing(LastSigned(folder / "toy.signed")) as record,
        closing(WriteAheadLog(folder / "toy.wal", tails=record.tails)) as wal,
    ):
        participant = Participant(
            app=app,
            signer=Signer(key=key, context=toy.CONTEXT, record=record),
            journal=Journal(wal),
            checker=toy.CHECKER,
            timeouts=TimeoutParams(scale=0.2),
            broadcast=say,
        )
        host = ConsensusHost(
            app=app,
            participant=participant,
            checker=toy.CHECKER,
            pacing=toy.PACING,
            tell=lambda peer, message: None,
            on_ahead=lambda peer, height: None,
            validator_of=lambda peer: None,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            host.open()
            with trio.fail_after(60):  # of virtual time
                while app.head_height() < goal:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


def run_life(toy: ModuleType, folder: Path, killed: Killed) -> bool:
    """In a process of its own. Whether it came to its end by itself."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for name in ("write", "pwrite", "fsync", "fdatasync"):
                setattr(os, name, killed.around(getattr(os, name)))
            trio.run(live, toy, folder, clock=MockClock(autojump_threshold=0))
            status = 0
        finally:
            os._exit(status)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended == 0


def check(folder: Path) -> int:
    """No two things were said in one place, and no other block was decided. The height.

    A precommit that was logged and not sent may have decided a block after the restart."""
    said: dict[tuple[int, ...], object] = {}
    lines = (folder / "said").read_text().splitlines() if (folder / "said").exists() else []
    for place, content in map(json.loads, lines):
        assert said.setdefault(tuple(place), content) == content, f"two things at {place}"
    height = 0
    for height, (value, certificate) in enumerate(load_chain(folder / "chain"), 1):
        assert certificate.height == height
        assert certificate.block_id == keccak_fast(value)
        decided = certificate.block_id.hex()
        assert said.get((height, certificate.round, 2), decided) == decided
    return height


@pytest.mark.parametrize("compact_bytes", [8 << 20, 0], ids=["plain", "compacting"])
def test_a_validator_survives_sigkill_at_every_write_and_fsync(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compact_bytes: int
) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_BYTES", compact_bytes)
    points = 0
    for before in (True, False):
        ended, at = False, 0
        while not ended:
            at += 1
            ended = run_life(toy, tmp_path, Killed(at, before=before))
            check(tmp_path)
        points += at - 1
    assert points > 2 * 5 * HEIGHTS, "the log, the record and the block of each height"
    before_last = check(tmp_path)
    assert run_life(toy, tmp_path, Killed(10**9, before=True))
    assert check(tmp_path) == before_last + HEIGHTS
