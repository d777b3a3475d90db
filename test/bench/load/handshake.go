package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// handshakes opens a TLS 1.3 connection for each request, asks once and closes it.
// Every server is offered X25519 alone, so that all do the same arithmetic.
func handshakes(ctx context.Context, s Spec) (Totals, error) {
	var answered atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range s.Connections {
		group.Go(func() error {
			config := &tls.Config{
				ServerName: s.Host, InsecureSkipVerify: true, //nolint:gosec // the certificate is the benchmark's own
				MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, CurvePreferences: []tls.CurveID{tls.X25519},
			}
			if s.Resumed {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			for i := 0; time.Since(began).Seconds() < s.Seconds && ctx.Err() == nil; i++ {
				resumed, err := handshake(ctx, s, config)
				if err != nil {
					return err
				}
				if resumed != (s.Resumed && i > 0) {
					return fmt.Errorf("connection %d: resumed: %v", i, resumed)
				}
				answered.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return Totals{Requests: answered.Load(), Microseconds: time.Since(began).Microseconds()}, err
}

// handshake makes one connection and one request.
func handshake(ctx context.Context, s Spec, config *tls.Config) (resumed bool, err error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	nc, err := d.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return false, err
	}
	c := tls.Client(nc, config)
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false, err
	}
	if _, err := c.Write(httpRequest(s)); err != nil {
		return false, err
	}
	b, n := make([]byte, 4096), 0
	for {
		m, err := c.Read(b[n:])
		n += m
		if whole, good := wholeAnswer(b[:n]); whole && good {
			return c.ConnectionState().DidResume, nil
		} else if whole {
			return false, fmt.Errorf("answered %q", bytes.TrimSpace(b[:n]))
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return false, err
		}
	}
}
