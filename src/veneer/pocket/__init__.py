"""The embedded study: a synthetic world, its corpus, its small models, its benchmarks."""
