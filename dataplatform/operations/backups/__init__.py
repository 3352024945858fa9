"""Backups: the lake, the quarantine and history beside it, and Dagster's instance, in another folder or bucket.

A place of backups holds files under the hash of their content, each once however many backups have it, and per
backup a manifest that names all of its files and is written last. Here live making one and putting one back. What
runs make again (warehouse, reports) and what people deliver (the landing) is no part of it.
"""
