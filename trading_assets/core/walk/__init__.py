"""A replayed session, compiled: its ticks, protection, matching and figures in the order of the live desk."""
