"""Claude Code: its transcripts."""
