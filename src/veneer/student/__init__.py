"""Fine-tune base models on imitation data."""
