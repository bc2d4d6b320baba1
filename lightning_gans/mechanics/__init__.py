"""The mechanics under the game, one idea a file."""
