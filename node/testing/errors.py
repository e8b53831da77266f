"""The errors of tests of a network, besides those of starting and asking one (node.cluster.errors).

AtollError
|-- WaitTimeout        a condition did not come true in time; also a TimeoutError
|-- Unbalanced         the audit found wei made or lost; also an AssertionError
|-- TransactionFailed  it ran and was reverted, or ran out of gas; also an AssertionError
`-- NetworkStopped     the network is not running (any more), so no node can be asked
"""

from node.primitives.errors import AtollError


class WaitTimeout(AtollError, TimeoutError):
    """`wait_for` gave up; the text names the condition, the missing part, and the state of the network."""


class Unbalanced(AtollError, AssertionError):
    """Balances, value under way and burned value do not add up to the genesis and issued value."""


class TransactionFailed(AtollError, AssertionError):
    """A transaction that was to succeed has a receipt of status 0, which it keeps; the text shows it."""


class NetworkStopped(AtollError):
    """Something was asked of a network before it was started, or after it was stopped."""
