"""The plots: one file for each kind of figure, and the pieces that they share."""
