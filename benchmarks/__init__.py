"""What is said to be fast, as ratios against named peers in the same run."""
