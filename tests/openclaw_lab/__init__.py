"""The real OpenClaw gateway, run on loopback: what the doctor says of it, and what its repairs do to it."""
