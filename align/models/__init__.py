"""Models and tokenizers: loading, checking, repairing, saving, adapters, packed attention."""
