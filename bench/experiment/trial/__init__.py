"""One trial: the processes, the monitor, what came of it, and what to doubt about it."""
