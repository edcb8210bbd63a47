"""One module for each kind of database, with what is different there."""
