"""What the endpoints do, one file for each kind of thing. A handler gets an `Ask` and gives a Response, or None once it replied."""
