"""What is wrong with a node and with the account that it hosts for."""
