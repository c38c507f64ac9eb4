"""The figures of a run: `gallery` lists them, and a file for each kind draws it. No number is computed here."""
