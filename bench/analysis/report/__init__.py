"""The page of a run: its tables, its words, its template."""
