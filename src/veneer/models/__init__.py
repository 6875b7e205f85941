"""Things that answer: local models, their chat renderer, generation and log-likelihood."""
