"""Codex: the files of its home (``home`` reads them all), and the telemetry that it exports (``telemetry``)."""
