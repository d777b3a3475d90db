package table

import (
	"fmt"
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
