"""All SQL lives here and in the migrations."""
