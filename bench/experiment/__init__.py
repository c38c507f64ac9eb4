"""The half that measures: plan -> process, monitor, machine -> runner -> store. Imports neither pandas nor matplotlib."""
