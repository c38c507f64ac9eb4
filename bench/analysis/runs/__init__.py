"""A run folder on disk becomes values."""
