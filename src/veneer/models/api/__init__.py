"""Models behind an OpenAI-compatible endpoint: each request is asked once, paid once, accounted."""
