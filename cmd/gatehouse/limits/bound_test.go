package limits

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// A value that makes no sense is refused, with what to write instead.
func TestValues(t *testing.T) {
	parse := func(flag string) (Limits, string) {
		var l Limits
		f := pflag.NewFlagSet("run", pflag.ContinueOnError)
		f.SetOutput(io.Discard)
		Add(f, &l)
		if err := f.Parse([]string{flag}); err != nil {
			return l, err.Error()
		}
		return l, ""
	}
	for flag, want := range map[string]string{
		"--max-streams=50":                    "",
		"--max-streams=0":                     "use 1 or more",
		"--max-streams=-1":                    "must be a non-negative integer",
		"--max-head-bytes=0":                  "use 1 or more",
		"--max-head-bytes=64KiB":              "must be an integer",
		"--max-connections=0":                 "",
		"--max-connections=-1":                "use 0 or more",
		"--max-requests=-1":                   "",
		"--max-requests=0":                    "",
		"--max-body-bytes=-1":                 "",
		"--max-body-bytes=0":                  "use 1 or more, or -1 for no limit",
		"--min-body-rate=0":                   "use 1 or more, or -1 for no limit",
		"--max-stream-buffer-bytes=65535":     "use 65536 or more",
		"--max-backend-stream-buffer-bytes=1": "use 65536 or more",
		"--tunnel-idle-timeout=1h":            "",
		"--tunnel-idle-timeout=0":             "use a time of 1ms or more, such as 10m0s",
		"--tunnel-idle-timeout=-1s":           "use a time of 1ms or more, such as 10m0s",
		"--idle-timeout=30":                   "must be a duration",
		"--idle-timeout=30ns":                 "use a time of 1ms or more, such as 1m0s",
	} {
		if _, got := parse(flag); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", flag, got, want)
		}
	}
	if l, _ := parse("--stream-timeout=1m"); l.Clients.Stream != time.Minute || l.Clients.Tunnel != 10*time.Minute || l.Mirrors.Requests != 256 {
		t.Errorf("%+v", l)
	}
	if l, _ := parse("--mirror-timeout=0"); l.Mirrors.Time != 10*time.Second {
		t.Errorf("a value that is refused is set: %v", l.Mirrors.Time)
	}
}

// Each default is a value that the flag takes.
func TestDefaults(t *testing.T) {
	var l Limits
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	Add(f, &l)
	f.VisitAll(func(g *pflag.Flag) {
		if err := g.Value.Set(g.DefValue); err != nil {
			t.Errorf("--%s=%s: %v", g.Name, g.DefValue, err)
		}
	})
}
