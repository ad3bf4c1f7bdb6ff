"""What a call means: pure decisions, without a network, a clock or a file."""
