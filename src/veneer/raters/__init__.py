"""One blinded study for one's own people and for the crowd: packets, votes, agreement."""
