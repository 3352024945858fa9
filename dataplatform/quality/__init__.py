"""Quality: a staged candidate is judged by its contract before anything of it is published. Nothing is stored here."""
