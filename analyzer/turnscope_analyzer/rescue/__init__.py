"""Make a thread small again that its own pictures and tool output have made too large to go on."""
