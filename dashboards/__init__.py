"""What shows the metrics, spans and log records of turnscope: dashboards, alerts, and a stack to try them on."""
