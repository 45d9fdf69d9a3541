"""Record every phase of every agent turn, so that a stuck one can tell what it waits in."""
