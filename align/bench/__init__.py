"""How fast, against whom, and how near to what the machine allows."""
