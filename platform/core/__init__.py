"""Shared by all commands: Ray instance, provenance of the code, console output and disk usage."""
