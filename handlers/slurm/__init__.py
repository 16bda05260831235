"""Slurm, as everybody in glmd asks it: its programs, called once each, and what their answers mean."""
