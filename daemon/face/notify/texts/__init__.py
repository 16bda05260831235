"""What messages say, in English and Chinese: a first line for the lock screen, a text for people, JSON for programs."""
