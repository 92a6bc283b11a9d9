"""One module a command. They import the rest inside the function, so that `nextact --help` answers at once."""
