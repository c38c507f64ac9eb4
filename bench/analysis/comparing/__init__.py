"""What `echobench compare` shows: servers of one run, two runs, many runs."""
