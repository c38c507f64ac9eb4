"""The screen of a run: what was seen so far (`seen`), its picture (`picture`), the key `q` (`keys`), and `screen`.

It costs the measurement nothing: it is drawn between two blocks, and what waits for a key sleeps in the kernel. Nothing
of it is a bench's business, and no ratio is computed here.
"""
