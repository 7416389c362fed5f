"""Serve the champion over HTTP."""
