"""Work on strangers' paths, each piece in a process of its own that can be given up: a dead mount holds nobody up.

loop ─► a worker's thread ── Apart.run ─► zygote ─► fork ─► the work
                ▲                                            │ asks before each mount, then answers
                └────────────────────────────────────────────┘
"""
