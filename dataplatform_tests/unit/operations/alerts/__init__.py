"""Messages, signatures and secrets: what needs neither disk nor network."""
