"""The broker as a port, its typed errors, the registry of brokers, and a folder for each adapter."""
