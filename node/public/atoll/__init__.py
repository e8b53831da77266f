"""The names that programs import from Atoll. They are stable; where the code behind them stands is not.

atoll.testing   networks for tests: `Network`, `AsyncNetwork`, `until`, the errors (docs/testing.md)
atoll.faults    faults on purpose in a network that runs (docs/faults.md)
"""
