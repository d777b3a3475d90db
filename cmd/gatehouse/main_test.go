package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes this test binary the program.
const asProgram = "TEST_RUNS_GATEHOUSE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// What has nothing to finish ends when it is told to, whatever it waits for.
func TestEndsWhenTold(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "standalone"} {
		c := exec.Command(os.Args[0], command, "-f", pipe)
		c.Env = append(os.Environ(), asProgram+"=1")
		errs, err := c.StderrPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(errs).ReadString('\n')
		if !strings.HasPrefix(line, "reading and checking manifests") {
			t.Errorf("%s says %q", command, line)
		}
		overdue := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		if !overdue.Stop() {
			t.Errorf("%s goes on", command)
		}
	}
}
