"""The service layer: every verb that a person can ask for."""
