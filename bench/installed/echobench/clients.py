"""`python -m echobench.clients`: what `python -m clients` is in the checkout."""

from echobench import run

if __name__ == "__main__":
    run("clients")
