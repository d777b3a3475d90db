package policy

// The names by which the table, and the proxy that fetches them, know key sets.

// DiscoveredKeys is the key set that an issuer's metadata leads to.
func DiscoveredKeys(issuer string) string { return "discovery " + issuer }

// KeysAt is the key set at a URI.
func KeysAt(uri string) string { return "uri " + uri }

// KeysOf is the key set that a backend has at a path.
func KeysOf(backend, path string) string { return "Service " + backend + path }
