"""Long campaigns against the ledger; ``make campaign`` runs them, and a short form of each is among the long tests."""
