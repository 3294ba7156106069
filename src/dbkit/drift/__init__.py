"""Differences between the models, the migrations and a live database."""
