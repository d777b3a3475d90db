package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// state is what the kernel says a process does: S sleeps, T is stopped.
func state(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return after[:1]
}

func TestGeneratorPauses(t *testing.T) {
	g := &generator{cmd: exec.CommandContext(t.Context(), "sh", "-c", `read line; echo '{"Requests":3,"Microseconds":600000000}'`), ended: make(chan error, 1)}
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.said
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its signals go to a group
	in, err := g.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { g.ended <- g.cmd.Wait() }()
	if err := g.run(time.Millisecond); err != nil || g.over {
		t.Fatalf("%v; at its end: %v", err, g.over)
	}
	for deadline := time.Now().Add(10 * time.Second); state(t, g.cmd.Process.Pid) != "T"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it goes on when its turn is over")
		}
	}
	time.Sleep(20 * time.Millisecond)
	if _, err := in.Write([]byte("end\n")); err != nil {
		t.Fatal(err)
	}
	if err := g.run(time.Minute); err != nil || !g.over {
		t.Fatalf("%v; at its end: %v", err, g.over)
	}
	got, err := g.totals()
	if err != nil || got.Requests != 3 || got.Microseconds > 600_000_000-20_000 {
		t.Errorf("got %+v, %v; the pause of 20 ms does not count", got, err)
	}
}

func TestGeneratorFails(t *testing.T) {
	g := &generator{cmd: exec.CommandContext(t.Context(), "sh", "-c", "echo Error: 3 answered as they should be, 1 not >&2; exit 1"), ended: make(chan error, 1)}
	g.cmd.Stderr = &g.said
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.ended <- g.cmd.Run() // it ended as its last turn did
	if err := g.run(time.Minute); err == nil || err.Error() != "3 answered as they should be, 1 not" {
		t.Errorf("got %v", err)
	}
}

func TestRest(t *testing.T) {
	is := func(want int, used ...time.Duration) {
		t.Helper()
		looks := 0
		got, err := rest(func() (time.Duration, error) {
			looks++
			return used[min(looks, len(used))-1], nil
		}, time.Millisecond)
		if err != nil || looks != want || got != used[min(looks, len(used))-1] {
			t.Errorf("%v: got %v, %v after %d looks", used, got, err, looks)
		}
	}
	is(2, time.Second)
	is(2, time.Second, time.Second+50*time.Microsecond)
	is(4, 1*time.Millisecond, 2*time.Millisecond, 3*time.Millisecond)
	var busy []time.Duration
	for i := range 1000 {
		busy = append(busy, time.Duration(i)*time.Millisecond)
	}
	is(101, busy...)
}
