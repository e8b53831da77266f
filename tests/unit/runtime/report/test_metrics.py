"""The text of a scrape, the audit beside it, and what is counted on the way."""

import re
from itertools import pairwise

import pytest
import structlog
import trio
from prometheus_client.parser import text_string_to_metric_families

from node.metrics.catalogue import FAMILIES
from node.metrics.exposition import Family, Histogram, Sheet
from node.runtime.report import audit_watch as audit_module
from node.runtime.report.audit_watch import AuditWatch
from node.view.following.audit import AuditReport, ShardSupply
from rpc.errors import ResourceUnavailable

SOME = {
    family.name: family
    for family in (
        Family(name="some_wei", kind="gauge", help="Back\\slash and\nline."),
        Family(name="some_total", kind="counter", help="Things.", labels=("what", "shard")),
        Family(name="some_seconds", kind="histogram", help="Time.", labels=("step",)),
    )
}


def parsed(sheet):
    return {
        family.name: family for family in text_string_to_metric_families(sheet.render().decode())
    }


def test_a_scrape_is_text_that_others_read():
    sheet, seconds = Sheet(SOME), Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        seconds.observe(value)
    sheet.put("some_wei", 10**23 + 1)
    sheet.put("some_total", 3, 'a "quoted"\\\n', 0)
    sheet.put("some_total", 0.5, "other", "")
    sheet.put("some_total", None, "nothing", "")
    sheet.histogram("some_seconds", seconds, "build")
    text = sheet.render().decode()
    assert text == (
        "# HELP some_wei Back\\\\slash and\\nline.\n"
        "# TYPE some_wei gauge\n"
        "some_wei 100000000000000000000001\n"
        "# HELP some_total Things.\n"
        "# TYPE some_total counter\n"
        'some_total{what="a \\"quoted\\"\\\\\\n",shard="0"} 3\n'
        'some_total{what="other"} 0.5\n'
        "# HELP some_seconds Time.\n"
        "# TYPE some_seconds histogram\n"
        'some_seconds_bucket{step="build",le="0.1"} 2\n'
        'some_seconds_bucket{step="build",le="1.0"} 3\n'
        'some_seconds_bucket{step="build",le="+Inf"} 4\n'
        'some_seconds_sum{step="build"} 3.65\n'
        'some_seconds_count{step="build"} 4\n'
    )
    read = parsed(sheet)
    assert read["some_wei"].documentation == "Back\\slash and\nline."
    assert read["some"].samples[0].labels == {"what": 'a "quoted"\\\n', "shard": "0"}
    assert seconds.count == 4


def test_a_sample_of_what_is_not_in_the_catalogue_is_a_mistake():
    sheet = Sheet(SOME)
    with pytest.raises(KeyError):
        sheet.put("other_total", 1)
    with pytest.raises(ValueError, match="zip"):
        sheet.put("some_total", 1, "one label of two")


@pytest.mark.parametrize(
    ("name", "kind"), [("things", "counter"), ("things_total", "gauge"), ("Things", "gauge")]
)
def test_names_follow_the_conventions(name, kind):
    with pytest.raises(ValueError, match=name):
        Family(name=name, kind=kind, help="x")


def test_the_catalogue():
    assert all(family.help.endswith(".") for family in FAMILIES.values())
    foreign = {name for name in FAMILIES if not name.startswith("atoll_")}
    assert all(re.match(r"(process|python)_", name) for name in foreign)
    milli = [name for name in FAMILIES if re.search(r"_(ms|millis|kb|mib|gwei|ether)(_|$)", name)]
    assert not milli


# ---------------------------------------------------------------------- the audit


def account(number, balances=100):
    supply = ShardSupply(shard=0, height=number, balances=balances, burned=0, supply=100)
    return AuditReport(number=number, genesis=100, stake=0, shards=(supply,), lanes=())


def samples(watch):
    sheet = Sheet(FAMILIES)
    watch.collect(sheet)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parsed(sheet).values()
        for sample in family.samples
    }


async def test_audits_are_made_while_somebody_looks_and_not_too_often(autojump_clock):
    heads, made = iter(range(1, 10_000)), []

    async def report(number):
        made.append(trio.current_time())
        await trio.sleep(2.0)
        return account(number, 100 if len(made) < 5 else 99)

    async def look(watch, seconds):
        for _ in range(seconds):
            watch.wanted()
            await trio.sleep(1)

    watch = AuditWatch(report, lambda: next(heads))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await trio.sleep(1000)
        assert not made  # nobody looks
        assert ("atoll_audit_difference_wei",) not in samples(watch)
        with structlog.testing.capture_logs() as logs:
            await look(watch, 400)
        nursery.cancel_scope.cancel()
    gaps = [later - earlier for earlier, later in pairwise(made)]
    assert len(made) > 8
    assert all(gap >= 2.0 / audit_module.SHARE for gap in gaps)  # 2 s of 40 s are spent on it
    found = samples(watch)
    assert found["atoll_audit_difference_wei",] == -1
    assert found["atoll_audit_runs_total", "balanced"] == 4
    assert found["atoll_audit_runs_total", "unbalanced"] == len(logs) > 4
    assert {line["event"] for line in logs} == {"value is not conserved"}


async def test_a_block_is_audited_once(autojump_clock):
    made = []

    async def report(number):
        made.append(number)
        return account(number)

    watch = AuditWatch(report, lambda: 7)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        for _ in range(100):
            watch.wanted()
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert made == [7]
    assert samples(watch)["atoll_audit_block",] == 7


async def test_an_audit_that_fails_is_counted_and_tried_again(autojump_clock):
    answers = iter([ResourceUnavailable("shard 1 does not answer"), account(5)])

    async def report(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = AuditWatch(report, lambda: 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        for _ in range(30):
            watch.wanted()
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    found = samples(watch)
    assert found["atoll_audit_runs_total", "failed"] == 1
    assert found["atoll_audit_difference_wei",] == 0
