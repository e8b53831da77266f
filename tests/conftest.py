"""For all tests: the keccak backend is chosen before anything else can choose one.

A node chooses it in `node.primitives.basics`, and refuses to run with another. In a test run web3.py may
be imported first, and the first who hashes decides for the process.
"""

import os

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
