"""`pellucid demo`: starts the whole stack, makes pictures and measures what the axes do."""
