"""What runs beside consensus does not end the node; what the node cannot do without still does."""

from itertools import pairwise

import msgspec
import pytest
import structlog
import trio

from node.concurrency.conveniences import LAST_PAUSE, Conveniences
from node.primitives.errors import CorruptData
from node.query.questions import SupplyQuestion
from node.query.remote import RemoteSource
from node.runtime.report.audit_watch import AuditWatch
from node.storage.errors import StorageUnavailable
from node.view.shards import Shards
from rpc.errors import ResourceUnavailable

NOT_TEXT = msgspec.msgpack.encode({"type": "refused", "message": "xx", "code": 1}).replace(
    b"\xa2xx", b"\xa2\xff\xfe"
)


async def test_a_node_that_answers_with_bytes_that_are_no_text_makes_its_shard_unavailable():
    async def ask(payload, _seconds):
        assert msgspec.msgpack.decode(payload)["op"] == SupplyQuestion.__struct_config__.tag
        return NOT_TEXT

    shards = Shards({1: RemoteSource(1, ask)}, own=None)
    with pytest.raises(ResourceUnavailable, match=r"answered nonsense.*UTF-8"):
        await shards.ask(1, SupplyQuestion(height=3))


async def test_an_audit_that_fails_unexpectedly_is_counted_told_and_made_again(autojump_clock):
    calls = []

    async def report(number):
        calls.append(trio.current_time())
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    beside, watch = Conveniences(), AuditWatch(report, lambda: 7)
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside.run, "audit", watch.run)
            for _ in range(1000):
                watch.wanted()
                await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert beside.failures == {"audit": len(calls)}
    pauses = [later - earlier for earlier, later in pairwise(calls)]
    assert len(pauses) > 10
    assert pauses == sorted(pauses)  # less and less often
    assert pauses[-1] <= LAST_PAUSE + 1
    assert {line["what"] for line in logs} == {"audit"}
    assert all(isinstance(line["exc_info"], UnicodeDecodeError) for line in logs)


def test_a_listener_that_fails_does_not_reach_the_commit_it_hears_of():
    beside, heard = Conveniences(), []

    def listen(height):
        heard.append(height)
        raise KeyError(height)

    listener = beside.listener("news", listen)
    with structlog.testing.capture_logs():
        listener(1)
        listener(2)
    assert heard == [1, 2]
    assert beside.failures == {"news": 2}


@pytest.mark.parametrize("error", [CorruptData("damaged"), StorageUnavailable("full")])
async def test_a_bad_disk_ends_the_node_wherever_it_is_met(error):
    beside = Conveniences()

    async def task():
        raise ExceptionGroup("a nursery's", [ValueError("other"), error])

    with pytest.raises(ExceptionGroup):
        await beside.run("audit", task)

    def listen():
        raise error

    with pytest.raises(type(error)):
        beside.listener("news", listen)()


async def test_a_task_that_returns_is_over():
    async def task():
        await trio.lowlevel.checkpoint()

    await Conveniences().run("lag", task)
