"""A thousand transactions of all kinds: every one has its receipt, every wei is where it belongs."""

from web3.contract import Contract

from node.testing import Network
from tests.cluster.support.load import ETHER, Load, fund, make_accounts


def test_a_thousand_transactions(two_by_four: Network, ledgers: dict[int, Contract]) -> None:
    accounts = make_accounts(seed=1, count=20)
    fund(two_by_four, accounts, 100 * ETHER)
    two_by_four.invariants.wait_until_quiet()
    load = Load(two_by_four, accounts, ledgers, seed=2)

    load.send(1000)
    load.wait(two_by_four.node("s1v0").rpc)

    assert 400 < sum(step.crosses for step in load.steps) < 600
    two_by_four.invariants.wait_until_quiet()
    load.check()
