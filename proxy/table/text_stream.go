package table

import (
	"fmt"
	"strings"
)

// String prints the stream's columns: "db.example.com pass | 100 shop/db:5432 |
// TLSRoute shop/db". A stream of TCP or UDP has "-" for the server names it
// takes.
func (s *Stream) String() string {
	names := "-"
	if len(s.Hosts) > 0 {
		names = strings.Join(s.Hosts, ",")
		if s.Terminate {
			names += " terminate"
		} else {
			names += " pass"
		}
	}
	return strings.Join([]string{names, destinations(s.Backends), s.Route}, " | ")
}

// String prints "required", or "asked" where one that is missing or wrong is let in.
func (c *ClientCAs) String() string {
	if c.Insecure {
		return "asked"
	}
	return "required"
}

// String prints "tls=api.internal cas=1240B san=uri:spiffe://shop/api client=shop/edge".
func (t *BackendTLS) String() string {
	var w strings.Builder
	w.WriteString("tls=" + t.ServerName)
	if len(t.CAs) == 0 {
		w.WriteString(" cas=system")
	} else {
		fmt.Fprintf(&w, " cas=%dB", len(t.CAs))
	}
	for _, s := range t.SANs {
		if s.URI != "" {
			w.WriteString(" san=uri:" + s.URI)
		} else {
			w.WriteString(" san=" + s.Hostname)
		}
	}
	if t.Client != nil {
		w.WriteString(" client=" + t.Client.ID)
	}
	return w.String()
}
