"""The system under test as declared: words, and the file they are written in."""
