"""This machine: files, processors, hosts, and where progress is told."""
