"""One module per thing that can be read; each turns what it finds into marks."""
