"""Where data comes from that no asset here makes."""
