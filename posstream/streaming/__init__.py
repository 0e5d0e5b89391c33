"""What posstream changes in Faust, and nothing about customers."""
