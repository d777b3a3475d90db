package table

import (
	"fmt"
	"strings"
)

// String prints "external(grpc shop/authz:9000 headers * body<=1024 timeout 1s)".
func (e *ExternalAuth) String() string {
	out := []string{"http", e.Backend + e.URL}
	if e.GRPC {
		out[0] = "grpc"
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			out = append(out, name+" "+strings.Join(values, ","))
		}
	}
	if e.Path != "" {
		out = append(out, "under "+e.Path)
	}
	list("headers", e.Headers)
	if e.Forwarded {
		out = append(out, "forwarded")
	}
	for _, c := range e.Context {
		out = append(out, "context "+c.Name+"="+word(c.Value))
	}
	if e.MaxBody > 0 {
		out = append(out, fmt.Sprintf("body<=%d", e.MaxBody))
	}
	if e.Partial {
		out = append(out, "or its beginning")
	}
	list("to backend", e.ToBackend)
	list("to client", e.ToClient)
	out = append(out, "timeout "+e.Timeout.String())
	if e.Status != 0 {
		out = append(out, fmt.Sprintf("else %d", e.Status))
	}
	if c := e.Cache; c != nil && c.Key != "" {
		out = append(out, fmt.Sprintf("cache %s by %s", c.TTL, c.Key))
	} else if c != nil {
		out = append(out, fmt.Sprintf("cache %s by headers %s", c.TTL, strings.Join(c.Headers, ",")))
	}
	return "external(" + strings.Join(out, " ") + ")"
}
