"""HTML pages: the one base template, its style and parts, and pictures that stand in a page."""
