"""The half that reads what was kept: runs -> estimates -> comparing, figures, export -> report. Starts no process."""
