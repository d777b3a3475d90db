package router

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
)

// login notes that a policy answers a path itself.
func (h *host) login(path string, a *Action) {
	if a.Auth == nil || !a.Auth.Answers(path, h.logins[path]...) {
		return
	}
	if h.logins == nil {
		h.logins = map[string][]*guard.Policy{}
	}
	h.logins[path] = append(h.logins[path], a.Auth)
}

// together is a, which answers the path of x itself, with all policies that do so for
// the host, those of less specific names too: the logins of several clients may come
// back to one path, and only their methods know which of them x is for.
func (l *Listener) together(x *exchange.Exchange, a *Action) *Action {
	list := []*guard.Policy{a.Auth}
	for at := atExact; at != atEnd; {
		var h *host
		if h, at = l.hosts.next(x.Request.Host, at); h == nil {
			continue
		}
		for _, p := range h.logins[x.Request.Path] {
			if p.Answers(x.Request.Path, list...) {
				list = append(list, p)
			}
		}
	}
	if len(list) == 1 {
		return a
	}
	out := *a
	out.Auth = a.Auth.Beside(list[1:])
	return &out
}
