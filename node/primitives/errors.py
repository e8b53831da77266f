"""The roots of every error that Atoll's node raises on purpose.

    AtollError
    |-- UserError            a mistake of the user: bad config, key, port; shown as one line, exit 2
    |-- PeerFault            another node sent something wrong: it is penalised, we go on
    |   `-- DecodeError      bytes that are not the canonical encoding of the expected value
    |-- InvalidBlock         a block breaks a rule: prevoted nil, never committed
    |-- InvalidTransaction   a transaction breaks a rule: refused, with geth's wording
    `-- CorruptData          our own disk holds something impossible: stop, say what to do

Any other exception is a bug of ours, except OSError, which comes from the machine.
"""


class AtollError(Exception):
    """Base of all errors raised on purpose."""


class UserError(AtollError):
    """A mistake of the user: the text says what was wrong, where, and what to do."""


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
