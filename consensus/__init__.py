"""Stake-weighted Tendermint consensus as a pure state machine.

The host checks and feeds :data:`Input` values to an :class:`Engine`, and performs the
:data:`Effect` values that it returns. Nothing here reads a clock, draws a random number, or does I/O;
blocks are opaque 32-byte ids, and cryptography comes in as a :class:`SignatureChecker`.
"""
