"""What protects the people in the data: erasure, the list of who was forgotten, hashed ids in what is published."""
