"""The roots of every error that Atoll's node raises on purpose.

    AtollError
    |-- UserError            what a person did: bad config, key, port; shown as one line, exit 2
    |-- PeerFault            what another node sent is wrong: it is penalised, we go on
    |   `-- DecodeError      bytes that are not the canonical encoding of what they should be
    |-- InvalidBlock         a block breaks a rule: prevoted nil, never committed
    |-- InvalidTransaction   a transaction breaks a rule: refused, with geth's wording
    `-- CorruptData          our own disk holds something it cannot: stop, say what to do

Anything else that is raised is a bug of ours, but for OSError, which is the machine's.
"""


class AtollError(Exception):
    """Base of all errors raised on purpose."""


class UserError(AtollError):
    """A person's mistake: says what was wrong, where, and what to do."""


class PeerFault(AtollError):
    """Another node broke the protocol."""


class DecodeError(PeerFault):
    """Bytes are not the canonical encoding of the value they should hold."""


class InvalidBlock(AtollError):
    """A block breaks a rule of the protocol."""


class InvalidTransaction(AtollError):
    """A transaction cannot be included; `str()` is what the user is told."""


class CorruptData(AtollError):
    """The node's own files hold something that cannot be true."""
