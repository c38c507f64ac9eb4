"""`python -m echobench.servers`: what `python -m servers` is in the checkout."""

from echobench import run

if __name__ == "__main__":
    run("servers")
