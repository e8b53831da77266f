"""The commands of `atoll`, by what they are about; `node.cli` puts them together."""
