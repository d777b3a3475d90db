package table

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Limits are what the clients of one port may use. They only tighten what the
// process allows: zero fields, and limits above its own, change nothing.
type Limits struct {
	Connections int           `json:"connections,omitempty"`          // open at one time; further ones are closed
	PerClient   int           `json:"connectionsPerClient,omitempty"` // the same, of one client address
	Requests    int           `json:"requests,omitempty"`             // in flight at one time; further ones are answered 503
	Streams     uint32        `json:"streams,omitempty"`              // open at one time on a connection of HTTP/2 or HTTP/3
	Header      int           `json:"headerBytes,omitempty"`          // of a request (431)
	Body        int64         `json:"bodyBytes,omitempty"`            // of a request (413)
	HeaderTime  time.Duration `json:"headerTime,omitempty"`           // for a head (408)
	BodyTime    time.Duration `json:"bodyTime,omitempty"`             // between two pieces of content (408)
	IdleTime    time.Duration `json:"idleTime,omitempty"`             // between two requests
	WriteTime   time.Duration `json:"writeTime,omitempty"`            // for a client to take 32 KiB
}

// String returns "connections=1000,per-client=20,header-time=5s": what is set.
func (l *Limits) String() string {
	var list []string
	add := func(name string, v any, set bool) {
		if set {
			list = append(list, fmt.Sprintf("%s=%v", name, v))
		}
	}
	add("connections", l.Connections, l.Connections != 0)
	add("per-client", l.PerClient, l.PerClient != 0)
	add("requests", l.Requests, l.Requests != 0)
	add("streams", l.Streams, l.Streams != 0)
	add("header", l.Header, l.Header != 0)
	add("body", l.Body, l.Body != 0)
	add("header-time", l.HeaderTime, l.HeaderTime != 0)
	add("body-time", l.BodyTime, l.BodyTime != 0)
	add("idle-time", l.IdleTime, l.IdleTime != 0)
	add("write-time", l.WriteTime, l.WriteTime != 0)
	return strings.Join(list, ",")
}

// Equal reports whether l and o are the same; nil is none.
func (l *Limits) Equal(o *Limits) bool {
	if l == nil || o == nil {
		return l == o
	}
	return *l == *o
}

// And returns the tighter of each of l's and o's limits; nil is none.
func (l *Limits) And(o *Limits) *Limits {
	if l == nil || o == nil || *l == *o {
		return cmp.Or(l, o)
	}
	return &Limits{
		Connections: Tighter(l.Connections, o.Connections),
		PerClient:   Tighter(l.PerClient, o.PerClient),
		Requests:    Tighter(l.Requests, o.Requests),
		Streams:     Tighter(l.Streams, o.Streams),
		Header:      Tighter(l.Header, o.Header),
		Body:        Tighter(l.Body, o.Body),
		HeaderTime:  Tighter(l.HeaderTime, o.HeaderTime),
		BodyTime:    Tighter(l.BodyTime, o.BodyTime),
		IdleTime:    Tighter(l.IdleTime, o.IdleTime),
		WriteTime:   Tighter(l.WriteTime, o.WriteTime),
	}
}

// Tighter is the lower of two limits; what is not above 0 is none.
func Tighter[T int | int64 | uint32 | time.Duration](a, b T) T {
	switch {
	case b <= 0:
		return a
	case a <= 0:
		return b
	}
	return min(a, b)
}
