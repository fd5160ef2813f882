"""The sample line, format 1: its model, its spelling, and which interfaces count in a node's total. Pure."""
