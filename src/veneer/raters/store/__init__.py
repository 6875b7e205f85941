"""Where votes are kept: leases, votes and people, in SQLite or Postgres."""
