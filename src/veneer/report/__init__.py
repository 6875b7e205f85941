"""Show: one self-contained page, figures and tables."""
