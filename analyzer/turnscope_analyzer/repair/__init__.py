"""Changes to files that belong to other programs: planned, backed up, verified, and undone on request."""
