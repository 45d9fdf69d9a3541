"""OpenClaw: the state folder of its gateway, its logs, its timeline and the telemetry that it sends."""
