"""Metrics of the turns that are open and of those that have ended, through the OpenTelemetry SDK."""
