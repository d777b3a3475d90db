package limits

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// bound makes each flag refuse what is too little for it: a number below 1, a time
// below a millisecond, which at most stands for a slip of the unit. Names that are
// listed here may have less, or must have more.
func bound(f *pflag.FlagSet) {
	zero := []string{"max-connections", "max-requests", "max-requests-per-connection", "max-backend-requests", "backend-queue", "max-session-bytes"}
	unbounded := []string{"max-requests", "max-backend-requests", "max-body-bytes", "min-body-rate"}
	window := []string{"max-stream-buffer-bytes", "max-connection-buffer-bytes", "max-backend-stream-buffer-bytes"}
	rules := map[string]*rule{}
	f.VisitAll(func(g *pflag.Flag) {
		r := &rule{Value: g.Value, least: 1, usual: g.DefValue}
		rules[g.Name], g.Value = r, r
	})
	for _, name := range zero {
		rules[name].least = 0
	}
	for _, name := range unbounded {
		rules[name].negative = true
	}
	for _, name := range window {
		rules[name].least = 64 << 10 // the least that HTTP/2 can begin with, but a byte
	}
}

// rule is a flag's value that is least or more, or negative where that means that
// there is no limit.
type rule struct {
	pflag.Value
	least    int64
	usual    string // its default
	negative bool
}

// Set implements pflag.Value. Its error says what to write instead.
func (r *rule) Set(text string) error {
	before := r.String()
	if err := r.Value.Set(text); err != nil {
		return err
	}
	why := r.refuses(r.String())
	if why == nil {
		return nil
	}
	if err := r.Value.Set(before); err != nil {
		return err
	}
	return why
}

// refuses says why text is no value, if it is none.
func (r *rule) refuses(text string) error {
	if r.Type() == "duration" {
		if d, err := time.ParseDuration(text); err != nil || d >= time.Millisecond {
			return err
		}
		return fmt.Errorf("use a time of 1ms or more, such as %s", r.usual)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return err
	case n >= r.least, n < 0 && r.negative:
		return nil
	case r.negative:
		return fmt.Errorf("use %d or more, or -1 for no limit", r.least)
	}
	return fmt.Errorf("use %d or more", r.least)
}
