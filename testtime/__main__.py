"""`python -m testtime` is the `testtime` command."""

from testtime.cli.app import main

main()
