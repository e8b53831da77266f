"""The faults that one node is told to commit or to suffer: the `[faults]` of its configuration.

The same document is what `atoll_setFaults` takes and `atoll_faults` gives, while the node runs. Everything in
it can be taken back; what it has led to (a slashed stake) cannot.

    [faults]
    equivocate = true          # contradict every own prevote; it costs the stake and the seat, for good
    late = 4                   # ... and send the contradiction only that many heights later
    withhold = true            # propose blocks without arrivals, however long these wait
    clock = -20.0              # seconds by which the node's clock is wrong
    disk = 40000000            # bytes that its data directory may have; then the disk is full
    lanes = [1]                # shards whose messages are not fetched
    seed = 7                   # of what is lost and how late it is

    [faults.links.s0v2]        # what becomes of the messages that are sent to this node
    delay = 0.2                # seconds, and up to
    jitter = 0.1               # so many more
    loss = 0.05                # the share that never arrives; 1: all of them, found out by the silence
    cut = true                 # there is no connection
"""

from typing import Annotated

import msgspec

from node.primitives.errors import UserError

MAX_CLOCK = 10 * 365 * 86400.0
MAX_LATE = 1024
MAX_SECONDS = 600.0

Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class LinkFaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults of the messages to one other node. `p2p.netem.LinkFault` says what each does."""

    cut: bool = False
    delay: Seconds = 0.0
    jitter: Seconds = 0.0
    loss: Share = 0.0

    def and_also(self, other: "LinkFaults") -> "LinkFaults":
        """The sum of two faults, as if two links stood one behind the other."""
        return LinkFaults(
            cut=self.cut or other.cut,
            delay=min(MAX_SECONDS, self.delay + other.delay),
            jitter=min(MAX_SECONDS, self.jitter + other.jitter),
            loss=1 - (1 - self.loss) * (1 - other.loss),
        )


class NodeFaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole `[faults]` section; see the module."""

    equivocate: bool = False
    late: Annotated[int, msgspec.Meta(ge=0, le=MAX_LATE)] = 0
    withhold: bool = False
    clock: Annotated[float, msgspec.Meta(ge=-MAX_CLOCK, le=MAX_CLOCK)] = 0.0
    disk: Annotated[int, msgspec.Meta(ge=0)] | None = None
    lanes: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()
    seed: int = 0
    links: dict[str, LinkFaults] = {}

    def check(self, *, signs: bool, peers: set[str]) -> "NodeFaults":
        """Raise UserError, naming the key, for a fault that this node cannot commit: a node without a key signs
        nothing that could be wrong, and links lead to nodes of its configuration.
        """
        for fault in ("equivocate", "withhold"):
            if getattr(self, fault) and not signs:
                raise UserError(
                    f"key 'faults.{fault}': without a validator_key nothing is signed that could be "
                    "wrong; leave it out"
                )
        for name in self.links:
            if name not in peers:
                raise UserError(f"key 'faults.links.{name}': none of this node's peers is {name!r}")
        return self

    @property
    def any(self) -> bool:
        return msgspec.structs.replace(self, seed=0) != NodeFaults()
