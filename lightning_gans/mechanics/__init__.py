"""What is mechanical about the game, one idea a file."""
