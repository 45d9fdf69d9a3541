"""Side by side with the peers: `python -m bench` prints one table of ratios and says which targets are met."""
