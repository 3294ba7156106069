"""The review of a proof: its outcome and the findings of lint by revision, as one HTML page or as Markdown."""
