"""Look over the homes of Codex and OpenClaw: what contradicts itself in them, what that does, and how to repair it."""
