"""Turns that get stuck in every known way, for real, and what ``analyze`` says of each."""
