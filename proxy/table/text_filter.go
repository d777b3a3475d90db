package table

import (
	"fmt"
	"strconv"
	"strings"
)

// String prints "from https://a.example; methods GET PUT; headers *; credentials; age 60".
func (c *CORS) String() string {
	var out []string
	list := func(name string, values []string) {
		if len(values) > 0 {
			out = append(out, name+" "+strings.Join(values, " "))
		}
	}
	list("from", c.Origins)
	list("methods", c.Methods)
	list("headers", c.Headers)
	list("expose", c.ExposeHeaders)
	if c.Credentials {
		out = append(out, "credentials")
	}
	if c.MaxAge > 0 {
		out = append(out, fmt.Sprintf("age %d", c.MaxAge))
	}
	return strings.Join(out, "; ")
}

// String prints "20/100 shop/shadow:80", and no share where all are taken.
func (m *Mirror) String() string {
	if m.Numerator >= m.Denominator {
		return m.Backend
	}
	return fmt.Sprintf("%d/%d %s", m.Numerator, m.Denominator, m.Backend)
}

// String prints "3 on 500 503 after 100ms".
func (r *Retry) String() string {
	s := strconv.Itoa(r.Attempts)
	if len(r.Codes) > 0 {
		s += " on"
	}
	for _, code := range r.Codes {
		s += " " + strconv.Itoa(code)
	}
	if r.Backoff > 0 {
		s += " after " + r.Backoff.String()
	}
	return s
}

// String prints "budget shop/api 20% in 10s, 10 in 1s".
func (b *RetryBudget) String() string {
	return fmt.Sprintf("budget %s %d%% in %s, %d in %s", b.ID, b.Percent, b.Interval, b.Least, b.LeastInterval)
}

// String prints "session(cookie id path /cart permanent for 1h0m0s)".
func (s *Session) String() string {
	out := "session(header " + s.Header
	if s.Cookie != "" {
		out = "session(cookie " + s.Cookie
	}
	if s.Path != "" {
		out += " path " + word(s.Path)
	}
	if s.Permanent {
		out += " permanent"
	}
	if s.Lifetime > 0 {
		out += " for " + s.Lifetime.String()
	}
	return out + ")"
}
