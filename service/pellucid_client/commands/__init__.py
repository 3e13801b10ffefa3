"""The commands of the client, one file each."""
