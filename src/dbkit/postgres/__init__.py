"""PostgreSQL's own programs: where they are, who runs them, and the clusters that the kit keeps."""
