"""Prompts from and for other tools: pure readers and writers, one module a format.

A reader takes text, or rows that were read already, and gives :class:`~workbench.core.exchange.records.Found`:
records, and for each one that could not be read its place and the reason. A writer takes records and gives
text. Files, SQLite and PostgreSQL are the business of the floors above.
"""
