"""What bars held, looked at afterwards: all events of a bar file, as tables and as pictures."""
