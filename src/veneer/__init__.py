"""Veneer measures what imitating a stronger language model really buys."""

__version__ = "0.1.0"
