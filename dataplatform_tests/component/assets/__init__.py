"""How slices are made, judged and shown, on a temporary lake."""
