"""The IPython face."""
