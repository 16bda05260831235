"""The cards of this host: asked through the driver's tools."""
