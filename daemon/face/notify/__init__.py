"""What `glmd-notify` is: it reads what glmd has written down, and sends word to people, in a process of its own."""
