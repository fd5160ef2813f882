"""netcli: network-interface counters, read, sent, collected and drawn."""

__version__ = "1.0.0"
