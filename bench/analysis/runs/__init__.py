"""A run folder on disk becomes values: frames, spectra, modes."""
