"""The load generator's own limits: measured, and kept for this machine."""
