"""Drawing on a terminal: tables, boards, lines that change, progress."""
