"""Load from several machines: an agent on each, one clock that their times are told in, one result.

`engine` reaches the agents' machines by way of Dask, and is imported when `--agents` is given. Nothing else here knows
Dask, and nothing of Dask lies between the word to go and the results.
"""
