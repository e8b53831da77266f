"""Faults on purpose in a network that runs (docs/faults.md).

Raises UserError for what cannot be caused, NetworkFailed where a node does not do as it should.
"""

from node.cluster.errors import NetworkFailed
from node.cluster.fault_model import ActiveFault
from node.cluster.faults.injection import CausedFault, Faults
from node.primitives.errors import UserError

__all__ = ["ActiveFault", "CausedFault", "Faults", "NetworkFailed", "UserError"]
