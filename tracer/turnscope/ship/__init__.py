"""Sends the journal to OpenTelemetry: spans when they have ended, starts and heartbeats as log records."""
