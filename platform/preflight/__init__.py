"""What can be wrong before a sweep starts: each check looks at one thing, says what it found and what to do.

`platform.preflight.checks.CHECKS` holds them by name. A check reads a `PreflightContext` that the command has gathered:
this machine, the nodes of the Ray instance with their own view of the storage, and the configuration.
"""
