"""python -m nlmeans: the command line."""

from nlmeans.cli.main import run

if __name__ == "__main__":
    run()
