"""Labels: who attacked whom, and when."""
