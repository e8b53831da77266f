"""The commands of `atoll`, one module per subject; `node.cli` puts them together."""
