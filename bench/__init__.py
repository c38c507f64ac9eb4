"""The experiment, its analysis and the command line.

`bench.experiment` starts processes and measures. `bench.verdict` judges pairs of trials. `bench.analysis` reads what
was kept. `bench.regress` compares two arms. `bench.cli` shows all of it. Imports go in that order only, and
`bench.regress` never imports `bench.analysis`. Never import `servers` here: the bench starts commands.
"""

__version__ = "0.1.0"
