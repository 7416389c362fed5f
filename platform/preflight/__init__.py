"""Checks before a sweep starts: each examines one thing and returns its finding with a remedy.

`platform.preflight.checks.CHECKS` holds them by name. A check reads a `PreflightContext` that the command has gathered:
this machine, the nodes of the Ray instance with their own view of the storage, and the configuration.
"""
