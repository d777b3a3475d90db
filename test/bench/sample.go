package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

// apart is from one sample to the next: each is a change that comes alone.
const apart = 100 * time.Millisecond

// sample applies routes and waits for each to be served as it should.
func sample(ctx context.Context, addr string, n int, every time.Duration, apply func(int) (string, error)) (report.Latency, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return report.Latency{}, err
	}
	p := &poller{conn: c, in: bufio.NewReader(c), every: every}
	defer c.Close()
	var took []time.Duration
	for start, i := time.Now(), 0; i < n && time.Since(start) < applyLimit && ctx.Err() == nil; i++ {
		applied := time.Now()
		path, err := apply(i)
		if err != nil {
			return report.Latency{}, err
		}
		if err := p.until(path); err != nil {
			return report.Latency{}, fmt.Errorf("route %d: %w", i, err)
		}
		took = append(took, time.Since(applied))
		time.Sleep(apart + time.Duration(i%10)*time.Millisecond) // not in step with anything
	}
	return report.NewLatency(took), ctx.Err()
}

// poller asks for one path over and over on one connection.
type poller struct {
	conn  net.Conn
	in    *bufio.Reader
	every time.Duration
	out   bytes.Buffer
}

// until returns when path is answered 200, by the right backend.
func (p *poller) until(path string) error {
	deadline := time.Now().Add(30 * time.Second)
	if err := p.conn.SetDeadline(deadline); err != nil {
		return err
	}
	for {
		p.out.Reset()
		fmt.Fprintf(&p.out, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, peer.Host)
		if _, err := p.conn.Write(p.out.Bytes()); err != nil {
			return err
		}
		a, err := http.ReadResponse(p.in, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, a.Body); err != nil {
			return err
		}
		a.Body.Close()
		// Until then the catch-all rule sends the path to the other backend.
		if a.StatusCode == http.StatusOK && a.Header.Get("X-Backend") == "api" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("GET %s still answers %s from %q", path, a.Status, a.Header.Get("X-Backend"))
		}
		time.Sleep(p.every)
	}
}
