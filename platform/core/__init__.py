"""The Ray instance, provenance of the code, the terminal and disk usage: what every command uses."""
