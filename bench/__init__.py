"""The experiment, its analysis and the command line.

`bench.experiment` starts processes and measures; `bench.analysis` reads what was kept; `bench.regress` puts both
together for a verdict; `bench.cli` renders. Imports go in that order only. Never import `servers` here: the bench
starts commands.
"""

__version__ = "0.1.0"
