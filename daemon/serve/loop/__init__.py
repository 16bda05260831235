"""What a loop stands on: waiting, workers, faults, one daemon a root, systemd. It knows no job."""
