"""Ranking losses over distances and the negatives they rank against."""
