"""What public data sets call their labels."""
