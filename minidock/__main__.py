"""`python -m minidock`."""

from minidock.cli.app import entry

entry()
