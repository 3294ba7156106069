"""How big the tables of a live database are, told by whoever may look, and what that means for a finding."""
