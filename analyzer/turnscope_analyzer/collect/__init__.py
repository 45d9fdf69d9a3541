"""``turnscope collect``: takes what OpenTelemetry exporters send, and keeps of it what an analysis needs."""
