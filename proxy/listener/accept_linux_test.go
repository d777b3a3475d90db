package listener

import (
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// TestAcceptErrors has accept fail again and again, as it does while no file
// descriptor is left.
func TestAcceptErrors(t *testing.T) {
	f := newFixture(t, 0)
	l := &table.Listener{ID: "a", Port: 80, Protocol: table.HTTP}
	f.update(l)
	say(t, f.dial(t, l), "x")
	k := f.set.sockets[keyOf(l)]
	raw, err := k.ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = syscall.Shutdown(int(fd), syscall.SHUT_RD) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(10 * time.Second); k.metrics.AcceptErrors.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("not counted within 10 s")
		}
	}
}
