"""Load from several machines: an agent on each, one clock that their times are told in, one result.

`reach` and `engine` reach the agents' machines by way of Dask, and are imported when `--agents` is given. Nothing else
here knows Dask, and nothing of Dask lies between the word to go and the results.
"""
