package socket

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPipe takes more through a pipe than it and both sockets hold.
func TestPipe(t *testing.T) {
	client, from := pair(t)
	to, backend := pair(t)
	content := bytes.Repeat([]byte("0123456789abcde\n"), 16<<20/16)
	failed := make(chan error, 2)
	go func() {
		_, err := client.Write(content)
		failed <- errors.Join(err, client.CloseWrite())
	}()
	go func() {
		got, err := io.ReadAll(backend)
		if !bytes.Equal(got, content) {
			err = errors.Join(err, errors.New("other content came than was sent"))
		}
		failed <- err
	}()
	in, out := wrap(t, from), wrap(t, to)
	p := NewPipe()
	if p == nil {
		t.Fatal("no pipe")
	}
	defer p.Close()
	for {
		n, err := p.Fill(in, 1<<30)
		if err == io.EOF {
			break
		}
		if err != nil || n != p.held || n > pipeSize {
			t.Fatalf("%d bytes, %d in the pipe, %v", n, p.held, err)
		}
		if err := p.Drain(out); err != nil || p.held > 0 {
			t.Fatal(err)
		}
	}
	_ = to.CloseWrite()
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// TestPipeStalls has a peer that takes nothing.
func TestPipeStalls(t *testing.T) {
	client, from := pair(t)
	to, _ := pair(t)
	go func() { _, _ = client.Write(make([]byte, 64<<20)) }()
	in := wrap(t, from)
	out, err := New(to, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPipe()
	defer p.Close()
	for err == nil {
		if _, err = p.Fill(in, 1<<30); err != nil {
			t.Fatal(err)
		}
		err = p.Drain(out)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || p.Empty() {
		t.Errorf("%d bytes in the pipe, %v", p.held, err)
	}
}

// TestPipesAreClosed has the collector find a pipe that nobody has closed.
func TestPipesAreClosed(t *testing.T) {
	end, err := unix.Dup(NewPipe().w)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(end) }()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		if _, err := unix.Write(end, []byte("x")); err == unix.EPIPE {
			return
		}
		if time.Now().After(until) {
			t.Fatal("its descriptors are still open")
		}
	}
}
