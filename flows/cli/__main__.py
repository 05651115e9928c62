"""`python -m flows.cli` is `fedcart`."""

from flows.cli.main import main

main()
