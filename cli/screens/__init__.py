"""What `vidya query` shows to people, built from answers of the API; programs (`-o json`) get the answers."""
