"""Which era a height belongs to, against a list; and how somebody who was away gets to the newest era."""

from hypothesis import given
from hypothesis import strategies as st

from node.beacon.eras import Eras
from node.beacon.rewind import Rewind
from node.primitives.basics import Hash32, ShardId

# (blocks that are made, how far back a rewind goes in thousandths of the height)
STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1000)), max_size=12)


class World:
    """A beacon chain as the era of each height, and snapshots by (height, taken, era)."""

    def __init__(self) -> None:
        self.chain: list[int] = [0]
        self.eras = Eras()
        self.clock = 0
        self.alive: dict[int, tuple[int, int]] = {}  # taken -> (height, era)
        self.all: dict[int, tuple[int, int]] = {}

    def grow(self, count: int) -> None:
        self.chain += [self.eras.current] * count

    def snapshot(self) -> int:
        self.clock += 1
        self.alive[self.clock] = self.all[self.clock] = (len(self.chain) - 1, self.eras.current)
        return self.clock

    def rewind(self, taken: int) -> None:
        height, _ = self.alive[taken]
        self.eras = self.eras.begun(
            Rewind(
                era=self.eras.current + 1,
                height=height,
                block_hash=Hash32(bytes(32)),
                taken=taken,
                salt=bytes(16),
                tips=(2 * height,),
            )
        )
        del self.chain[height + 1 :]
        self.alive = {t: s for t, s in self.alive.items() if (s[0], t) < (height, taken)}


def lived(steps: list[tuple[int, int]]) -> list[World]:
    """The world after each rewind, oldest first."""
    world, states = World(), []
    for count, back in steps:
        world.grow(count)
        world.snapshot()
        taken = sorted(world.alive)[(len(world.alive) - 1) * back // 1000]
        world.rewind(taken)
        copy = World()
        copy.chain, copy.eras = list(world.chain), world.eras
        copy.alive, copy.all = dict(world.alive), dict(world.all)
        states.append(copy)
    return states


@given(STEPS)
def test_every_height_has_the_era_in_which_it_was_decided(steps: list[tuple[int, int]]) -> None:
    for world in lived(steps):
        for height, era in enumerate(world.chain[1:], 1):
            assert world.eras.at(height) == era
            assert world.eras.at_shard(ShardId(0), 2 * height) == era
        assert world.eras.at(len(world.chain)) == world.eras.current


@given(STEPS)
def test_a_snapshot_is_gone_once_the_network_went_back_to_it_or_before_it(
    steps: list[tuple[int, int]],
) -> None:
    for world in lived(steps):
        for taken, (height, era) in world.all.items():
            assert world.eras.undone(era, height, taken) == (taken not in world.alive)


@given(STEPS, st.integers(0, 11), st.integers(0, 1000))
def test_whoever_was_away_gets_there_by_what_is_common(
    steps: list[tuple[int, int]], left: int, behind: int
) -> None:
    """Each step goes back to a block that the own chain has, or that those who are there can give in the own
    eras; in the end eras and heights are those of the others."""
    states = lived(steps)
    if not states:
        return
    newest, old = states[-1], states[min(left, len(states) - 1)]
    mine, eras = old.chain[: 1 + (len(old.chain) - 1) * behind // 1000], old.eras
    for _ in range(len(newest.eras) + 1):
        step = newest.eras.after(eras.current)
        if step is None:
            break
        common = newest.chain[: step.height + 1]
        assert mine[: step.height + 1] == common[: len(mine)]
        assert all(era <= eras.current for era in common)  # and so can be checked
        mine = common
        eras = eras.begun(step)
        assert [eras.at(h) for h in range(1, len(mine))] == mine[1:]
    assert eras.current == newest.eras.current
    assert mine == newest.chain[: len(mine)]
