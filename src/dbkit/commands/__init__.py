"""The verbs of the command line: one module for each, with one public function; dbkit.cli has their table."""
