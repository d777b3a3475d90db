//go:build envtest

package envtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
)

// TestDrain ends Gatehouse while a request is under way.
func TestDrain(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/"))
	g := w.Run("--drain-delay=5s").WaitReady()
	w.Expect("/a", http.StatusOK)
	held := make(chan string, 1)
	go func() {
		status, _, text := ask(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, w.URL("/hold"))
		held <- fmt.Sprintf("%d %s", status, strings.TrimSpace(text))
	}()
	before := w.Backend.Asked.Load()
	eventually(t, 5*time.Second, func() string {
		if w.Backend.Asked.Load() == before {
			return "the backend was not asked"
		}
		return ""
	})
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	eventually(t, 900*time.Millisecond, func() string {
		if status, text := g.Ready(); status != http.StatusServiceUnavailable || text != "draining" {
			return fmt.Sprintf("/readyz says %d %s", status, text)
		}
		return ""
	})
	// Not ready yet still serving, for those who have not heard: but each answer is the last of its connection.
	response, err := http.Get(w.URL("/a"))
	if err != nil {
		t.Fatalf("%v after the signal: %v", time.Since(asked), err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("while draining: %d, connection closed %v; want 200 and true", response.StatusCode, response.Close)
	}
	// Backends come and go meanwhile.
	w.Apply(strings.Replace(slice, "ready: true", "ready: false", 1))
	answers(w, http.StatusServiceUnavailable)
	w.Apply(slice)
	answers(w, http.StatusOK)
	eventually(t, 10*time.Second, func() string {
		if status, _, _ := ask(fresh, w.URL("/a")); status != 0 {
			return fmt.Sprintf("a new connection is answered %d after the delay", status)
		}
		return ""
	})
	if !g.running() {
		t.Fatal("ended before the request under way")
	}
	close(w.Backend.Hold)
	if answer := <-held; !strings.HasPrefix(answer, "200 api /hold") {
		t.Errorf("the request under way was answered %s", answer)
	}
	if code := g.wait(5 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// slice leads to the backend, as base has it.
var slice = base[strings.LastIndex(base, "---"):]

// answers waits for a status, while a process drains.
func answers(w *World, want int) {
	w.t.Helper()
	eventually(w.t, 2*time.Second, func() string {
		if status, _, text := ask(fresh, w.URL("/a")); status != want {
			return fmt.Sprintf("while draining: %d %s, want %d", status, text, want)
		}
		return ""
	})
}

// TestNothingLeft runs the command in this process and looks for goroutines that outlive it.
func TestNothingLeft(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	config := kubeconfig(t, w.server)
	admin := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	t.Setenv("GATEHOUSE_GATEWAYS", "host")
	var log lockedBuffer
	c := command.New(&log, &log)
	c.SetArgs([]string{
		"run", "--kubeconfig", config, "--controller-name", w.controller, "--admin-address", admin,
		"--namespace=gatehouse-system", "--identity=inside", "--drain-delay=-1s", "--listen-address=127.0.0.1",
	})
	ended := make(chan error, 1)
	go func() { ended <- c.ExecuteContext(ctx) }()
	w.Expect("/a", http.StatusOK)
	eventually(t, 30*time.Second, func() string {
		if !strings.Contains(log.String(), leading) {
			return "not leading:\n" + log.String()
		}
		return ""
	})
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("did not end:\n%s", log.String())
	}
	// client-go keeps its idle connection to the API server for the next client of the process.
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"))
}
