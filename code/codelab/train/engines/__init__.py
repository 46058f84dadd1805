"""What sampling engines and trainers cost beside one another: seconds, tokens and memory by phase."""
