"""Rules and judges: they see text and give a score."""
