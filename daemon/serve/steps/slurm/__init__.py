"""Slurm, as glmd uses it: it places trainings, and says where they are. Whether they ended well their records say."""
