"""The events as others rely on them: golden files, released schemas, and the codec under hostile input."""
