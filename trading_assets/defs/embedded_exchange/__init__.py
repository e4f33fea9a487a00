"""The embedded exchange's time, which stands or runs apart from the world's."""
