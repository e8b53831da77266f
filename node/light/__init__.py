"""Proofs of cross-shard messages, checked with nothing but the genesis (docs/proofs.md). Pure.

Nothing here has a database, a network or a clock: what is checked is in the proof.
"""

from node.light.codec import MAX_PROOF_BYTES, decode_proof, encode_proof, proof_document
from node.light.errors import InvalidProof
from node.light.proof import BeaconStep, CrosslinkedBlock, DeliveredProof, MessageProof, SentProof
from node.light.verify import Delivered, FinalisedPlace, Outcome, ProvenMessage, verify

__all__ = [
    "MAX_PROOF_BYTES",
    "BeaconStep",
    "CrosslinkedBlock",
    "Delivered",
    "DeliveredProof",
    "FinalisedPlace",
    "InvalidProof",
    "MessageProof",
    "Outcome",
    "ProvenMessage",
    "SentProof",
    "decode_proof",
    "encode_proof",
    "proof_document",
    "verify",
]
