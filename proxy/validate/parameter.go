package validate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// parameter is a table.Param, ready to run.
type parameter struct {
	table.Param
	name    string
	pointer string
	pattern *regexp.Regexp
}

func appendParameter(list []parameter, t table.Param, at string) ([]parameter, error) {
	p := parameter{Param: t, name: t.Name, pointer: at + strings.NewReplacer("~", "~0", "/", "~1").Replace(t.Name)}
	switch {
	case t.Name == "":
		return nil, errors.New("a parameter has no name")
	case t.Type != "" && t.Type != "string" && t.Type != "integer" && t.Type != "number" && t.Type != "boolean":
		return nil, fmt.Errorf("parameter %s: type %q; use string, integer, number or boolean", t.Name, t.Type)
	}
	var err error
	if p.pattern, err = compilePattern(t.Pattern); err != nil {
		return nil, fmt.Errorf("parameter %s: pattern: %w", t.Name, err)
	}
	return append(list, p), nil
}

// compilePattern makes a pattern match the whole value; nil for none.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// append adds what is wrong with one value of the parameter. It does not repeat
// the value.
func (p *parameter) append(list []exchange.Violation, value string) []exchange.Violation {
	if len(list) >= maxViolations {
		return list
	}
	message := p.fault(value)
	if message == "" {
		return list
	}
	return append(list, exchange.Violation{Pointer: p.pointer, Message: message})
}

func (p *parameter) missing(list []exchange.Violation, n int) []exchange.Violation {
	if n > 0 || !p.Required || len(list) >= maxViolations {
		return list
	}
	return append(list, exchange.Violation{Pointer: p.pointer, Message: "is missing"})
}

func (p *parameter) fault(value string) string {
	var number float64
	switch p.Type {
	case "integer":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || value[0] == '+' {
			return "must be a whole number"
		}
		number = float64(n)
	case "number":
		var ok bool
		if number, ok = decimal(value); !ok {
			return "must be a number"
		}
	case "boolean":
		if value != "true" && value != "false" {
			return "must be true or false"
		}
	}
	switch {
	case p.Minimum != nil && number < *p.Minimum:
		return "must be at least " + strconv.FormatFloat(*p.Minimum, 'f', -1, 64)
	case p.Maximum != nil && number > *p.Maximum:
		return "must be at most " + strconv.FormatFloat(*p.Maximum, 'f', -1, 64)
	case len(p.Enum) > 0 && !slices.Contains(p.Enum, value):
		return "must be one of " + strings.Join(p.Enum, ", ")
	case p.pattern != nil && !p.pattern.MatchString(value):
		return "must match the pattern " + p.Pattern
	}
	return ""
}

// decimal reads a number as JSON writes it (RFC 8259, section 6), but for zeros in
// front, which a parameter may have: no hexadecimal, no infinity, no plus sign or
// point in front.
func decimal(s string) (float64, bool) {
	for i := 0; i < len(s); i++ {
		if !strings.ContainsRune("0123456789+-.eE", rune(s[i])) {
			return 0, false
		}
	}
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || strings.HasSuffix(s, ".") || strings.Contains(s, ".e") || strings.Contains(s, ".E") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}
