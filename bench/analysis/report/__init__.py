"""The page of a run: its tables, its sentences, its template. No number is computed here."""
