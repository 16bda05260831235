"""What every process of glmd knows: the root, settings, states, the store, what lives, the control socket."""
