"""The architectures, a file each. They import nothing of cvhub but their siblings: all of them travel to the Hub."""

# Files that define an architecture, in the order of the study notes.
FAMILIES = ("resnet", "mobilenet_v2")
