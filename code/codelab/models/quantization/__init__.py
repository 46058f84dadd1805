"""Loading in 8 and 4 bits with bitsandbytes, and what it costs and changes (question 7)."""
