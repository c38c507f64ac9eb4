"""The numbers of a run with their intervals, and who leads."""
