"""The numbers behind the figures of the page's Explore tab: a claim of a paper a file, computed from real modules."""
