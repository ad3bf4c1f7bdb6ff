"""The meaning of a call: pure decisions, without a network, a clock or a file."""
