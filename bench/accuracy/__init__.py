"""Labelled captures in, verdicts out: how often the analyzer is right, and where it cannot know."""
