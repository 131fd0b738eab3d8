"""All HTTP lives here; async only."""
