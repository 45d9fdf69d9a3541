"""The real Codex under injected faults: what its files say, held against what was done to it."""
