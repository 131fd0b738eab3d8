"""Values to safe HTML or a plotly figure."""
