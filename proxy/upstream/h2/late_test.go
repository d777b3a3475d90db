package h2

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// A stream that is aborted before its request is sent is not left among those of its
// connection: it is another request's when it is used again.
func TestAbortedBefore(t *testing.T) {
	p := serve(t, Config{}, echo)
	s := open(t, p)
	c := s.conn.Load()
	s.Abort()
	if _, err := s.Ask(exchangeOf("POST", "/"), []byte("hello")); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	c.mu.Lock()
	c.each(func(*Stream) { t.Error("it is among the connection's streams") })
	c.mu.Unlock()
	s.Close()
}

// Requests that have found an endpoint just before it was taken away are answered over
// connections that end with them.
func TestClosed(t *testing.T) {
	p := serve(t, Config{}, echo)
	before := open(t, p)
	p.Close()
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			s, err := p.Open(context.Background(), time.Now().Add(5*time.Second))
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Ask(exchangeOf("POST", "/"), []byte("hello")); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := before.Ask(exchangeOf("POST", "/"), []byte("hello")); err != nil {
		t.Errorf("one that had its connection already: %v", err)
	}
	before.Close()
	asking.Wait()
	if p.Reap(); p.Connections() != 0 {
		t.Errorf("%d connections are left", p.Connections())
	}
}
