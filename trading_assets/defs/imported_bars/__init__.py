"""The bars of the history, judged by every rule after each import."""
