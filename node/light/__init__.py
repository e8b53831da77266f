"""Proofs of cross-shard messages, checked with nothing but the genesis (docs/proofs.md). Pure.

Nothing here has a database, a network or a clock: what is checked is in the proof.
"""
