package table

import (
	"fmt"
	"strconv"
	"strings"
)

// Text prints the table for people: one line per listener, host, rule, backend,
// key set and rejection. Goldens, the debug endpoint, explain and bug reports
// all show these lines. A rule's columns are: match | policies and filters |
// backends | timeouts | route. Secrets never show.
func (t *Table) Text() string {
	var w strings.Builder
	for _, l := range t.Listeners {
		fmt.Fprintf(&w, "listener %s %s:%d", l.ID, l.Address, l.Port)
		if l.Target != 0 {
			fmt.Fprintf(&w, "->%d", l.Target)
		}
		w.WriteString(" " + strings.ToLower(string(l.Protocol)))
		if l.Hostname != "" {
			w.WriteString(" host=" + l.Hostname)
		}
		for _, c := range l.Certificates {
			w.WriteString(" cert=" + c.ID)
		}
		if l.HTTP3 != 0 {
			fmt.Fprintf(&w, " http3=%d", l.HTTP3)
		}
		if l.Clients != nil {
			w.WriteString(" clients=" + l.Clients.String())
		}
		if l.Proxies != nil {
			w.WriteString(" proxies=" + l.Proxies.String())
		}
		if l.Limits != nil {
			w.WriteString(" limits=" + l.Limits.String())
		}
		w.WriteByte('\n')
		for _, h := range l.Hosts {
			h.write(&w)
		}
		for _, s := range l.Streams {
			fmt.Fprintf(&w, "  stream %s\n", s)
		}
	}
	for _, b := range t.Backends {
		fmt.Fprintf(&w, "backend %s %s%s", b.ID, b.Protocol, b.Name)
		if b.Retries != nil {
			w.WriteString(" " + b.Retries.String())
		}
		if b.TLS != nil {
			w.WriteString(" " + b.TLS.String())
		}
		w.WriteByte('\n')
	}
	for _, k := range t.KeySets {
		w.WriteString("keyset " + k.ID)
		if k.Inline != nil {
			fmt.Fprintf(&w, " inline %d bytes", len(k.Inline))
		}
		if len(k.Shared) > 0 {
			w.WriteString(" " + count(len(k.Shared), "secret"))
		}
		w.WriteByte('\n')
	}
	for _, r := range t.Rejected {
		fmt.Fprintf(&w, "rejected %s: %s -> ", r.Object, strings.Join(strings.Fields(r.Reason), " "))
		if r.Status == 0 {
			w.WriteString("takes nothing\n")
		} else {
			fmt.Fprintf(&w, "%d\n", r.Status)
		}
	}
	return w.String()
}

func (h *Host) write(w *strings.Builder) {
	fmt.Fprintf(w, "  host %s\n", h.Name)
	digits := len(strconv.Itoa(len(h.Rules)))
	for i, r := range h.Rules {
		fmt.Fprintf(w, "    %*d %s\n", digits, i+1, r)
	}
}

// String prints the rule's columns, without its number.
func (r *Rule) String() string {
	a := r.Action
	columns := []string{r.Match.String(), a.steps(), a.destinations()}
	if t := a.Timeouts.String(); t != "" {
		columns = append(columns, t)
	}
	if a.Retry != nil {
		columns = append(columns, "retry "+a.Retry.String())
	}
	if a.Session != nil {
		columns = append(columns, a.Session.String())
	}
	return breaks.Replace(strings.Join(append(columns, a.Route+" "+a.Rule), " | "))
}

// breaks has blanks for the ends of lines, which expressions often have.
var breaks = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

// String prints "GET prefix /v1 header x-env=test query v~[0-9]+".
func (m Match) String() string {
	var out []string
	if m.Method != "" {
		out = append(out, m.Method)
	}
	out = append(out, m.Path.String())
	for _, v := range m.Headers {
		out = append(out, "header "+v.String())
	}
	for _, v := range m.Query {
		out = append(out, "query "+v.String())
	}
	return strings.Join(out, " ")
}

// String prints "prefix /v1".
func (p PathMatch) String() string {
	kind := map[PathKind]string{PathExact: "exact", PathRegex: "regex", PathPrefix: "prefix"}[p.Kind]
	return kind + " " + word(p.Value)
}

// String prints name=value, or name~expression.
func (v ValueMatch) String() string {
	if v.Kind == ValueRegex {
		return v.Name + "~" + word(v.Value)
	}
	return v.Name + "=" + word(v.Value)
}

// String prints what is set: "timeout 5s backend timeout 2s".
func (t Timeouts) String() string {
	var out []string
	if t.Request != 0 {
		out = append(out, "timeout "+t.Request.String())
	}
	if t.Backend != 0 {
		out = append(out, "backend timeout "+t.Backend.String())
	}
	return strings.Join(out, " ")
}

// steps prints what happens to a request before it is forwarded; "-" for nothing.
func (a *Action) steps() string {
	var out []string
	for _, s := range []struct {
		name string
		auth *Auth
	}{{"auth:", a.Auth}, {"shadow:", a.ShadowAuth}} {
		if s.auth != nil {
			out = append(out, s.name+s.auth.String())
		}
	}
	for _, s := range []struct {
		name   string
		checks *Validation
	}{{"check:", a.Validation}, {"shadow-check:", a.ShadowValidation}} {
		if s.checks != nil {
			out = append(out, s.name+s.checks.String())
		}
	}
	if a.GRPC {
		out = append(out, "grpc")
	}
	for _, f := range a.Filters {
		out = append(out, f.String())
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, " ")
}

func (a *Action) destinations() string {
	if a.Reply != nil {
		return a.Reply.String()
	}
	return destinations(a.Backends)
}

// destinations prints "90 shop/api:8080, 10 shop/canary:8080".
func destinations(backends []WeightedBackend) string {
	var out []string
	for _, b := range backends {
		s := strconv.FormatUint(uint64(b.Weight), 10) + " " + b.Backend
		if b.Reply != nil {
			s = strconv.FormatUint(uint64(b.Weight), 10) + " " + b.Reply.String()
		}
		for _, f := range b.Filters {
			s += " " + f.String()
		}
		if b.Session != nil {
			s += " " + b.Session.String()
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

// String prints "-> 500 backend_not_found".
func (r *Reply) String() string {
	s := "-> " + strconv.Itoa(r.Status) + " " + r.Code
	if r.RetryAfter != 0 {
		s += " retry " + r.RetryAfter.String()
	}
	if r.Body != "" {
		s += fmt.Sprintf(" body %d bytes", len(r.Body))
	}
	return s
}

// String prints "request(set x-a=b; remove x-c)", "redirect(https port 443 301)".
func (f Filter) String() string {
	switch {
	case f.RequestHeaders != nil:
		return "request(" + f.RequestHeaders.String() + ")"
	case f.ResponseHeaders != nil:
		return "response(" + f.ResponseHeaders.String() + ")"
	case f.Redirect != nil:
		return "redirect(" + f.Redirect.String() + ")"
	case f.Rewrite != nil:
		return "rewrite(" + f.Rewrite.String() + ")"
	case f.CORS != nil:
		return "cors(" + f.CORS.String() + ")"
	case f.Mirror != nil:
		return "mirror(" + f.Mirror.String() + ")"
	case f.ExternalAuth != nil:
		return f.ExternalAuth.String()
	}
	return "nothing"
}

// String prints "set x-a=b; add x-b=c; remove x-c".
func (e *HeaderEdit) String() string {
	var out []string
	for _, h := range e.Set {
		out = append(out, "set "+h.Name+"="+word(h.Value))
	}
	for _, h := range e.Add {
		out = append(out, "add "+h.Name+"="+word(h.Value))
	}
	for _, name := range e.Remove {
		out = append(out, "remove "+name)
	}
	return strings.Join(out, "; ")
}

// String prints what the redirect changes and its status.
func (r *Redirect) String() string {
	var out []string
	if r.Scheme != "" {
		out = append(out, "scheme "+r.Scheme)
	}
	if r.Hostname != "" {
		out = append(out, "host "+r.Hostname)
	}
	if r.Port != 0 {
		out = append(out, "port "+strconv.Itoa(int(r.Port)))
	}
	if r.Path != nil {
		out = append(out, r.Path.String())
	}
	return strings.Join(append(out, strconv.Itoa(r.Status)), " ")
}

// String prints what the rewrite changes.
func (r *Rewrite) String() string {
	var out []string
	if r.Hostname != "" {
		out = append(out, "host "+r.Hostname)
	}
	if r.Path != nil {
		out = append(out, r.Path.String())
	}
	return strings.Join(out, " ")
}

// String prints "path /new" or "prefix /old to /new".
func (p *PathEdit) String() string {
	switch {
	case p.Full != nil:
		return "path " + word(*p.Full)
	case p.Prefix != nil:
		return "prefix " + word(p.Matched) + " to " + word(*p.Prefix)
	}
	return "nothing"
}

// word prints s as it is where that is one readable word, else quoted.
func word(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == '|' || r == '"' || r == ';' || r == ',' || !strconv.IsPrint(r)
	}) {
		return strconv.Quote(s)
	}
	return s
}

// String is the part of a backend's line that says where its addresses come from.
func (n Name) String() string {
	if n == (Name{}) {
		return ""
	}
	return " at " + n.Host + ":" + strconv.Itoa(int(n.Port))
}
