"""minidock: container images built and run by one Python package, without a daemon, root or helpers."""

__version__ = "0.1.0"
