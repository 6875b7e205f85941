"""Score answers: benchmarks, style, toxicity, and recorded files of others."""
