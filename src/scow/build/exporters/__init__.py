"""What a finished build becomes: an image, an archive, files; and the cache in a form others can import."""
