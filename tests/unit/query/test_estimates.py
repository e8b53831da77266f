"""What a call from another shard is estimated to need, up to what a message may carry."""

from node.execution.evm.simulate import Credit, SimulatedCall
from node.query.simulator import Simulator

BURN = bytes.fromhex("5b5f56")  # without end


def estimate(world, to, gas):
    call = SimulatedCall(sender=world.users[1][0].address, to=to, gas=gas, credit=Credit())
    simulator = Simulator(world.chain, gas_cap=50_000_000, anchor_of=lambda _: world.anchor())
    return simulator.estimate(world.chain.head, world.beacon, call)


def test_more_than_a_message_may_carry_is_named(world):
    burner = world.deploy(BURN)
    outcome = estimate(world, burner, (1 << 62) - 1)
    assert outcome.error == (
        "exceeds message gas limit: a call to another shard may carry at most 500000 gas, "
        "and this one needs more"
    )
    assert estimate(world, burner, 100_000).error == "gas required exceeds allowance (100000)"


def test_what_a_message_can_carry_is_estimated(world, kit):
    assert estimate(world, world.deploy(kit.store), (1 << 62) - 1).gas_used > 23_200
    assert "revert" in estimate(world, world.deploy(kit.revert), (1 << 62) - 1).error
