"""The files that published weights come in, read without executing anything."""
