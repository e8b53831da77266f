"""The times that a user's request may take: one table, in seconds, from the outside in.

Each time is less than the one around it. So the innermost that is exceeded ends the call, and its error names
the slow part: an execution, a node, a shard.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """The times to wait for one kind of question, from the outside in."""

    method: float
    """A method of the JSON-RPC that asks such questions."""
    shard: float
    """One shard of another node's, with a second try at another of its nodes."""
    node: float
    """One answer of one node. Half of it after which another node is asked is still above `CATCH_UP`."""


LOOK_UP = Patience(method=15.0, shard=12.0, node=5.0)
"""Questions that an index or a few trie nodes answer: milliseconds. Two tries fit into the shard's time."""

BULK = Patience(method=15.0, shard=12.0, node=10.0)
"""Look-ups with answers of megabytes, for which a slow link takes seconds, and submitted transactions, which
wait for a height and for room. A second try gets the rest of the shard's time.
"""

EXECUTE = Patience(method=30.0, shard=27.0, node=25.0)
"""Questions that execute, search, or walk over a whole state: as long as geth gives a request. The execution
itself has a shorter limit, below.
"""

TURN = 26.0
"""An execution on another shard with its wait for a turn: above `EXECUTE.node`, so that one whose turn has come
is not cut, and below `EXECUTE.shard`, so that "too much to do" is said and not "no answer"."""

DEVELOPMENT = 25.0
"""Until a caller is told that a development operation is in no block yet; below `EXECUTE.method`."""

MINE = Patience(method=300.0, shard=27.0, node=25.0)
"""Methods that order blocks, up to a thousand; each `DEVELOPMENT` has to bring some of them."""

SYNC, LONGEST_SYNC = 20.0, 25.0
"""eth_sendRawTransactionSync, where the caller says nothing (as in geth), and at most."""

LONGEST_TRACE = 20.0
"""The most that a caller of debug_trace* can ask for: with `HEIGHT` before it below `EXECUTE.node`."""

SEARCH = 15.0
"""Methods that run a call again and again: estimates, access lists, simulated blocks."""

CALL = 5.0
"""One execution of a call: geth's limit for eth_call."""

CATCH_UP = 4.0
"""Until this node shows a network block that was shown elsewhere; below `LOOK_UP.node`: a node that asks us
hears the reason before it gives up, and asks the next.
"""

HEIGHT = 3.0
"""Until this node has a height of its shard that it is asked about; below `LOOK_UP.node`, as above."""
