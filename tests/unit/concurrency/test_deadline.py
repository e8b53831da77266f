"""The alarm of a consensus host: rings once, at the time asked for last."""

import trio
import trio.testing

from node.concurrency.deadline import Alarm


async def test_it_rings_at_the_time_asked_for_last(autojump_clock: trio.testing.MockClock) -> None:
    rung: list[float] = []
    alarm = Alarm(lambda: rung.append(trio.current_time() - start))
    start = trio.current_time()
    alarm.at(start + 7)  # before it runs
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.run)
        await trio.sleep(1)
        alarm.at(start + 3)  # sooner
        await trio.sleep(9)
        assert rung == [3]
        alarm.at(start + 12)
        await trio.sleep(1)
        alarm.at(start + 15)  # later: what was set goes off in vain
        await trio.sleep(9)
        assert rung == [3, 15]
        alarm.at(start + 22)
        alarm.at(float("inf"))
        await trio.sleep(9)
        alarm.at(start)  # has passed
        await trio.testing.wait_all_tasks_blocked()
        assert rung == [3, 15, 29]
        nursery.cancel_scope.cancel()
