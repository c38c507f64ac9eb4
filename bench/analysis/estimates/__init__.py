"""The numbers of a run with their intervals, and the order of its servers. Nothing is drawn or worded for a page."""
