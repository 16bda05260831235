"""The commands of `glmd`, one module each; daemon.cli says which."""
