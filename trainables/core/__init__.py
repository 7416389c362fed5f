"""Configuration, command lines, atomic files, seeds, threads and formatting: what every other package builds on."""
