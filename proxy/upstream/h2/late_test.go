package h2

import (
	"errors"
	"testing"
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
