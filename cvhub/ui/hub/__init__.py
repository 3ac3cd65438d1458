"""The Hub tab: models of the catalogue and the Hub looked at and taken into other tabs, and a visit's own published."""
