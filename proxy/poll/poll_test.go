//go:build linux

package poll

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const long = 10 * time.Second

// told is a handler that passes on what it is told.
type told chan Events

func (t told) Ready(ev Events) { t <- ev }

func (t told) want(tt *testing.T, what string, want Events) {
	tt.Helper()
	select {
	case got := <-t:
		if got != want {
			tt.Fatalf("%s: told %06b, want %06b", what, got, want)
		}
	case <-time.After(long):
		tt.Fatalf("%s: told nothing, want %06b", what, want)
	}
}

// quiet waits until the loop has had a turn, and checks that it told nothing.
func (t told) quiet(tt *testing.T, what string, l *Loop) {
	tt.Helper()
	turn(tt, l)
	select {
	case got := <-t:
		tt.Fatalf("%s: told %06b", what, got)
	default:
	}
}

// turn returns when the loop has looked for events that began before.
func turn(t *testing.T, l *Loop) {
	t.Helper()
	for range 2 { // a task runs after the events that woke the loop, and the next one after a look at the set
		done := make(chan struct{})
		if !l.Do(func() { close(done) }) {
			t.Fatal("the loop has ended")
		}
		<-done
	}
}

func newSet(t testing.TB) *Set {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// pair returns two ends of a connection, closed when the test ends.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
	})
	return fds[0], fds[1]
}

func send(t testing.TB, fd int) {
	t.Helper()
	if _, err := syscall.Write(fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, l *Loop, fd int, want Wants, h Handler) *Entry {
	t.Helper()
	e := &Entry{}
	if err := l.Add(e, fd, want, h); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEvents(t *testing.T) {
	l := newSet(t).Loop()
	a, b := pair(t)
	got := make(told, 10)
	e := add(t, l, a, Read, got)
	got.quiet(t, "nothing has come", l)
	send(t, b)
	got.want(t, "a byte", Readable)
	got.quiet(t, "the same byte", l)
	send(t, b)
	got.want(t, "another, before the first is read", Readable)
	if err := syscall.Shutdown(b, syscall.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	got.want(t, "the end", Readable|Ended)
	e.Remove()
	e.Remove()
	e = add(t, l, a, Read|Write, got)
	got.want(t, "what is there when it is added", Readable|Writable|Ended)
	if err := e.Again(); err != nil {
		t.Fatal(err)
	}
	got.want(t, "what is there still", Readable|Writable|Ended)
	e.Remove()
	if err := e.Again(); !errors.Is(err, ErrClosed) {
		t.Errorf("removed: %v", err)
	}
	if err := l.Add(e, 1<<20, Read, got); !errors.Is(err, syscall.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
}

func TestOnce(t *testing.T) {
	l := newSet(t).Loop()
	a, b := pair(t)
	got := make(told, 10)
	e := add(t, l, a, Read|Once, got)
	send(t, b)
	got.want(t, "a byte", Readable)
	send(t, b)
	got.quiet(t, "another", l)
	if err := e.Again(); err != nil {
		t.Fatal(err)
	}
	got.want(t, "what came meanwhile", Readable)
}

// TestLeave: an entry that has left hears nothing more, and neither does the one in
// its place; its descriptor can be added again once it was forgotten.
func TestLeave(t *testing.T) {
	l := newSet(t).Loop()
	a, b := pair(t)
	got := make(told, 10)
	e := add(t, l, a, Read|Once, got)
	if of := e.Leave(); of != l {
		t.Errorf("left %p, not %p", of, l)
	}
	send(t, b) // the kernel tells of it
	got.quiet(t, "after it has left", l)
	next := make(told, 10)
	c, d := pair(t)
	add(t, l, c, Read, next)
	send(t, b)
	next.quiet(t, "in its place", l)
	send(t, d)
	next.want(t, "a byte", Readable)

	again := &Entry{}
	if err := l.Add(again, a, Read, got); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("added while the kernel knows it: %v", err)
	}
	l.Forget(a)
	add(t, l, a, Read, got)
	got.want(t, "what came meanwhile", Readable)
}

// both removes the other when it is told.
type both struct {
	other *Entry
	told  chan struct{}
}

func (b *both) Ready(Events) {
	b.other.Remove()
	b.told <- struct{}{}
}

// TestRemovedInBatch: an entry that was removed hears nothing of an event that had
// been fetched by then, and neither does the entry that took its place.
func TestRemovedInBatch(t *testing.T) {
	l := newSet(t).Loop()
	a, fromA := pair(t)
	b, fromB := pair(t)
	var one, two both
	one.told, two.told = make(chan struct{}, 10), make(chan struct{}, 10)
	one.other = add(t, l, b, Read, &two)
	two.other = add(t, l, a, Read, &one)
	next := make(told, 10)
	quiet, _ := pair(t)
	done := make(chan struct{})
	l.Do(func() { // both have events when the loop looks next
		send(t, fromA)
		send(t, fromB)
		close(done)
	})
	<-done
	turn(t, l)
	add(t, l, quiet, Read, next)
	next.quiet(t, "who came after", l)
	if n := len(one.told) + len(two.told); n != 1 {
		t.Errorf("%d were told, want 1", n)
	}
}

// TestDescriptorUsedAgain: the number of a descriptor that was closed without
// Remove is another's, and each hears its own events.
func TestDescriptorUsedAgain(t *testing.T) {
	l := newSet(t).Loop()
	old, fresh := make(told, 10), make(told, 10)
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := add(t, l, fds[0], Read, old)
	_ = syscall.Close(fds[1])
	old.want(t, "the end", Readable|Ended)
	e.Remove()
	_ = syscall.Close(fds[0])
	a, b := pair(t)
	add(t, l, a, Read, fresh)
	e.Remove() // the slot is another's by now
	send(t, b)
	fresh.want(t, "a byte", Readable)
	old.quiet(t, "who had the number before", l)
}

func TestDue(t *testing.T) {
	l := newSet(t).Loop()
	got := make(told, 10)
	e := add(t, l, -1, 0, got)
	start := time.Now()
	e.At(start.Add(time.Hour))
	e.At(start.Add(20 * time.Millisecond))
	got.want(t, "its time", Due)
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("after %v", took)
	}
	e.At(start)
	got.want(t, "a time that has passed", Due)
	e.At(time.Now().Add(30 * time.Millisecond))
	e.At(time.Time{})
	other := make(told, 10)
	add(t, l, -1, 0, other).At(time.Now().Add(60 * time.Millisecond))
	other.want(t, "its time", Due)
	got.quiet(t, "time that was taken back", l)
	e.At(time.Now().Add(time.Hour))
	e.Remove()
	e.At(start)
	got.quiet(t, "removed", l)
}

func TestClose(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	got := make(told, 100)
	for range 3 * len(s.loops) {
		a, _ := pair(t)
		add(t, s.Loop(), a, Read, got).At(time.Now().Add(time.Hour))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 * len(s.loops) {
		got.want(t, "who is left", Closed)
	}
	l := s.Loop()
	if l.Do(func() {}) || !errors.Is(l.Add(&Entry{}, -1, 0, got), ErrClosed) {
		t.Error("something was added after Close")
	}
}

// TestEach: every entry's handler is called once, and may remove itself.
func TestEach(t *testing.T) {
	s := newSet(t)
	got := make(told, 100)
	var all []*Entry
	for range 3 * len(s.loops) {
		a, _ := pair(t)
		all = append(all, add(t, s.Loop(), a, Read, got))
	}
	all[1].Remove()
	for range 2 {
		s.Each(func(h Handler) { h.Ready(Due) })
	}
	for range 2 * (len(all) - 1) {
		got.want(t, "each", Due)
	}
	for _, l := range s.loops {
		got.quiet(t, "each", l)
	}
}

// TestBroken: a reset is told apart from an end.
func TestBroken(t *testing.T) {
	l := newSet(t).Loop()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := make(told, 10)
	e := add(t, l, fds[0], Read, got)
	send(t, fds[0])
	_ = syscall.Close(fds[1]) // with a byte unread
	got.want(t, "a reset", Readable|Ended|Broken)
	e.Remove()
	_ = syscall.Close(fds[0])
}

// keeper reads on the loop, and keeps what it read.
type keeper struct {
	l    *Loop
	fd   int
	got  []byte
	kept bool
	log  *[]string
}

func (k *keeper) Ready(Events) {
	b := k.l.Buffer()
	n, _ := syscall.Read(k.fd, b)
	k.got = b[:max(n, 0)]
	k.kept = k.l.Keep(len(k.got), k)
	*k.log = append(*k.log, fmt.Sprintf("%d read %v", len(k.got), k.kept))
}

func (k *keeper) Flush() { *k.log = append(*k.log, "kept "+string(k.got[:1])) }

// TestKeep: what is kept lasts until all of the batch have been told, but no more than there is room for.
func TestKeep(t *testing.T) {
	l := newSet(t).Loop()
	var log []string
	var write [4]int
	for i := range write {
		a, b := pair(t)
		write[i] = b
		add(t, l, a, Read, &keeper{l: l, fd: a, log: &log})
	}
	batch := func(want ...string) {
		t.Helper()
		l.Do(func() {
			log = nil
			for i, b := range write {
				_, _ = syscall.Write(b, bytes.Repeat([]byte{'a' + byte(i)}, (i+1)*5000))
			}
		})
		turn(t, l)
		if !slices.Equal(log, want) {
			t.Errorf("got %q, want %q", log, want)
		}
	}
	for range 2 { // the second has all of the room again
		batch("5000 read true", "10000 read true", "15000 read true", "20000 read false", "kept a", "kept b", "kept c")
	}

	done := make(chan struct{})
	l.Do(func() {
		defer close(done)
		log = nil
		k := &keeper{l: l, got: l.Buffer()[:1], log: &log}
		k.got[0] = 'z'
		l.Keep(1, k)
	})
	<-done
	turn(t, l)
	if !slices.Equal(log, []string{"kept z"}) {
		t.Errorf("after a task: %q", log)
	}
}

// echo sends back what comes, on the loop.
type echo struct {
	fd int
	l  *Loop
}

func (e *echo) Ready(Events) {
	n, _ := syscall.Read(e.fd, e.l.Buffer())
	if n > 0 {
		_, _ = syscall.Write(e.fd, e.l.Buffer()[:n])
	}
}

// TestMany: many descriptors on one loop, written to by many goroutines.
func TestMany(t *testing.T) {
	s := newSet(t)
	l := s.Loop()
	const each, messages = 300, 20
	done := make(chan int, each)
	for range each {
		a, b := pair(t)
		add(t, l, a, Read, &echo{a, l})
		if err := syscall.SetNonblock(b, false); err != nil {
			t.Fatal(err)
		}
		go func() {
			n := 0
			for range messages {
				one := []byte("x")
				_, _ = syscall.Write(b, one)
				k, _ := syscall.Read(b, one)
				n += k
			}
			done <- n
		}()
	}
	for range each {
		if n := <-done; n != messages {
			t.Errorf("%d of %d came back", n, messages)
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	l := newSet(b).Loop()
	x, y := pair(b)
	add(b, l, x, Read, &echo{x, l})
	_ = syscall.SetNonblock(y, false)
	one := []byte("x")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = syscall.Write(y, one)
		_, _ = syscall.Read(y, one)
	}
}
