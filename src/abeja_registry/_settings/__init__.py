"""Settings: their sources, and the check of each."""
