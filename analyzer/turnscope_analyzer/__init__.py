"""Read what a recorder or an agent left on disk, and say for each turn what became of it."""
