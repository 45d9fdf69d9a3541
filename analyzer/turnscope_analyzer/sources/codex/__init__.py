"""Codex rollouts: ``rollout`` reads one, the others know what its records mean."""
