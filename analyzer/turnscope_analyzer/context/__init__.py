"""How large a thread is, what makes it so, and how long it will go on to fit."""
