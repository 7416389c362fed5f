"""Contrastive terms: ranking and supervised losses, the CLUB bound, and rows gathered over workers."""
