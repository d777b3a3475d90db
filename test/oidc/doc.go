// Package oidc proves logins against a real OpenID provider, zitadel's example
// server, with a real Redis where sessions are shared, and with the build tag
// browser in a real browser.
//
// It is a module of its own: the program does not share what the provider and the
// browser's driver depend on.
package oidc
