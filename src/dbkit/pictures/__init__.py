"""Pictures of a project: its revision history, and the tables of its schema, as SVG, text, Mermaid and DOT."""
