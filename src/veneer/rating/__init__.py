"""`veneer rate`: wiring of raters, runs, filters and measurements; what the commands call.

What needs a database or a web server is imported where it is used.
"""
