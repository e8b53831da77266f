"""The errors of storage.

UserError
`-- StorageUnavailable     the disk refuses: permissions, no space, not a directory
    `-- StorageInUse       another process has the same files open
CorruptData                the files hold what cannot have been written (node.primitives.errors)
AtollError
`-- WouldEquivocate        the caller asked to sign something that contradicts a signature given
"""

from node.primitives.errors import AtollError, UserError


class StorageUnavailable(UserError):
    """The operating system refuses an operation; the text names the path and what to do."""


class StorageInUse(StorageUnavailable):
    """Another process holds the lock of these files."""


class WouldEquivocate(AtollError):
    """The signature would contradict an earlier one: never make it."""
