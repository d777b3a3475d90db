package table

import "strings"

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
