"""What `echobench compare` shows: the servers of one run, two runs, many runs."""
