package guard

import (
	"github.com/gatehouse-dev/gatehouse/proxy/auth/introspect"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// introspection is what introspection methods share across tables.
type introspection struct {
	owner   *introspect.Owner
	servers generations[[32]byte, authorizationServer] // by content: a server knows whether it rests
}

// authorizationServer is an introspect.Server, or why there is none.
type authorizationServer struct {
	*introspect.Server
	err error
}

// server makes the Server of t, or finds the one that asks the same.
func (i *introspection) server(t *table.Introspection) (*introspect.Server, error) {
	s := i.servers.get(table.Sum(t), func() authorizationServer {
		s, err := i.owner.Server(t)
		return authorizationServer{s, err}
	})
	return s.Server, s.err
}
