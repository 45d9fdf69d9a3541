"""OpenTelemetry data that a collector or an exporter wrote to files, as marks."""
