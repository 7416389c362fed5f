"""Reaching on a screen: the vectorised environment, its Gymnasium interface, and a scripted controller."""
