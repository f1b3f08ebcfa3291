"""The language of Dockerfiles: text → nodes (parser) → typed instructions (stages, instructions/) → a build graph (convert)."""
