"""The half that reads what was kept: frame -> stats -> compare -> plots, report, export. Starts no process."""
