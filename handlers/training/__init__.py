"""What a training runs: commands, environments and directories, by launcher; and its time limits."""
