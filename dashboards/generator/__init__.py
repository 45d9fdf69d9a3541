"""Writes what follows from the vocabulary: the dashboards of Grafana, and the budgets that alerts are held to."""
