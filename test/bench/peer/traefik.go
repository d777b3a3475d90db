package peer

import (
	"context"
	"errors"
)

// traefik is left out. The module github.com/traefik/traefik/v3 replaces some of
// its dependencies, which counts only in its own checkout, and embeds a web
// interface that its module does not hold: it cannot be built from a registry of
// modules, and Debian has no package.
func traefik() Peer {
	return Peer{
		Name: "traefik",
		find: func(context.Context, Permission) (string, string, error) {
			return "", "", errors.New("it has no Debian package and its module cannot be built outside its own checkout")
		},
	}
}
