"""What measures: a load generator of native coroutines on a kernel of its own, run as its own process.

May import the standard library, numpy and hdrhistogram; never `bench`, never `servers`: the ruler and the thing
measured share no code.
"""
