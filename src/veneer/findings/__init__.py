"""Conclude: estimates with intervals, gaps closed, claims, forecasts, advice."""
