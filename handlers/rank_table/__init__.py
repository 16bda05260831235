"""Which rank runs on which device, and at which address: made, checked and merged by HCCL's rules."""
