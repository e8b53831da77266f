"""A package, so that what has its scope (the network, the browser) ends with the last test in here."""
