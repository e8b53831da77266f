"""The optimal ate pairing of alt_bn128 (see bn128 for the fields, the form and the source)."""

from node.execution.bn128 import (
    _FROBENIUS,
    _FROBENIUS2,
)
