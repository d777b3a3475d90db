package forward_test

import (
	"testing"
)

func TestGet(t *testing.T) {
	s := start(t, options{}, echo(t))
	c := s.dial()
	for range 3 {
		c.send("GET /a?b=c HTTP/1.1\r\nHost: Example.com:8080\r\n\r\n")
		a := c.want(200, "GET /a?b=c ")
		if a.Header.Get("X-Host") != "Example.com:8080" || a.Header.Get("X-For") != "127.0.0.1" || a.Header.Get("X-Proto") != "http" {
			t.Fatalf("the backend saw %v", a.Header)
		}
	}
}
