package command

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/memory"
)

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestResultThatCannotBeWritten(t *testing.T) {
	c := New(full{}, new(bytes.Buffer))
	c.SetIn(strings.NewReader(classed))
	c.SetArgs([]string{"table", "-f", "-"})
	if err := c.Execute(); !errors.Is(err, syscall.ENOSPC) || ExitCode(err) != 1 {
		t.Errorf("error %v", err)
	}
}

func TestVersionFlag(t *testing.T) {
	said := func(arg string) string {
		var out bytes.Buffer
		c := New(&out, &out)
		c.SetArgs([]string{arg})
		if err := c.Execute(); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	if flag, command := said("--version"), said("version"); flag != command || !strings.HasPrefix(flag, "gatehouse ") {
		t.Errorf("%q, %q", flag, command)
	}
}

// TestLogNamesLevels: a line has a level that --log-level knows, and one that says what is
// wrong shows at every level.
func TestLogNamesLevels(t *testing.T) {
	for level, want := range map[string]string{"debug": "DEBUG INFO ERROR", "info": "INFO ERROR", "error": "ERROR"} {
		var out bytes.Buffer
		log, err := (&serving{logLevel: level, logFormat: "text"}).logger(&out)
		if err != nil {
			t.Fatal(err)
		}
		log.V(1).Info("a")
		log.Info("b")
		log.Error(errors.New("why"), "c")
		var got []string
		for line := range strings.Lines(out.String()) {
			_, after, _ := strings.Cut(line, "level=")
			got = append(got, strings.Fields(after)[0])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q", level, out.String())
		}
	}
}

// TestFlagsBeforeTheCluster: what is wrong with a flag is said whether there is a cluster or not.
func TestFlagsBeforeTheCluster(t *testing.T) {
	for flag, value := range map[string]string{"--trusted-proxies": "x", "--listen-address": "x", "--access-log-sample": "2", "--gateways": "x"} {
		if _, _, err := run(t, "run", "--kubeconfig", filepath.Join(t.TempDir(), "none"), flag, value); err == nil || !strings.HasPrefix(err.Error(), flag) {
			t.Errorf("%s %s: %v", flag, value, err)
		}
	}
}

// TestTooLittleMemory: a gateway that would refuse everybody for want of memory says so.
func TestTooLittleMemory(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	t.Setenv("GOMEMLIMIT", "set") // or the container's is taken
	for limit, want := range map[int64]bool{memory.Least - 1: true, memory.Least: false} {
		var out bytes.Buffer
		s := &serving{logLevel: "error", logFormat: "text"}
		log, err := s.logger(&out)
		if err != nil {
			t.Fatal(err)
		}
		debug.SetMemoryLimit(limit)
		if o, err := s.options(log); err != nil || o.Memory != limit || strings.Contains(out.String(), "memory limit") != want {
			t.Errorf("%d: %d, %v, %q", limit, o.Memory, err, out.String())
		}
	}
}

// TestWhatStandaloneServes: a source that is only checked says what it has, and that it has nothing.
func TestWhatStandaloneServes(t *testing.T) {
	folder := t.TempDir()
	read := func() (said string, listening []string) {
		s, err := newSource(nil, defaultController, ingressController, nil, []string{folder})
		if err != nil {
			t.Fatal(err)
		}
		s.trial.checks = true
		r := s.read()
		return s.unserved(r), r.listening()
	}
	if said, listening := read(); said == "" || len(listening) > 0 {
		t.Errorf("%q, %q", said, listening)
	}
	if err := os.WriteFile(filepath.Join(folder, "m.yaml"), []byte(classed), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, listening := read(); said != "" || fmt.Sprint(listening) != "[shop/web/http :80]" {
		t.Errorf("%q, %q", said, listening)
	}
}

func TestBindErrorsSayWhatToDo(t *testing.T) {
	for err, want := range map[error]string{
		syscall.EADDRINUSE: "free the port",
		syscall.EACCES:     "CAP_NET_BIND_SERVICE",
	} {
		got := bindError("shop/web/http", fmt.Errorf("cannot bind: %w", err))
		if !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("%v", got)
		}
	}
}
