package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// backends are what the proxies forward to: a process on the load's CPU which
// answers any head it reads with the same bytes.
type backends struct {
	*process
	names []string
	ports []int // one for each name
}

// backendNames are the backends that routes choose from.
func backendNames() []string { return []string{"site", "api"} }

func newBackend() *cobra.Command {
	var listen []string
	c := &cobra.Command{
		Use: "backend", Short: "Answer requests; the scenarios start it", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			group, ctx := errgroup.WithContext(c.Context())
			for i, addr := range listen {
				l, err := net.Listen("tcp", addr)
				if err != nil {
					return err
				}
				context.AfterFunc(ctx, func() { l.Close() })
				group.Go(func() error { return answerAll(l, backendAnswer(backendNames()[i])) })
			}
			if err := group.Wait(); c.Context().Err() == nil {
				return err
			}
			return nil
		},
	}
	c.Flags().StringSliceVar(&listen, "listen", nil, "an address for each backend")
	return c
}

// backendAnswer has 128 bytes of content.
func backendAnswer(name string) []byte {
	const size = 128
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: %s\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"+
		"Content-Type: text/plain\r\nContent-Length: %d\r\nX-Backend: %s\r\n\r\n%s", name, size, name, strings.Repeat("x", size))
}

// answerAll serves connections until l fails. Neither proxy sends a second
// request before it has the answer to the first, so a head that has ended is
// the end of what was read.
func answerAll(l net.Listener, answer []byte) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		c, err := socket.New(nc.(*net.TCPConn), time.Minute)
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			in, w := make([]byte, 16<<10), 0
			_ = c.Drive(func() bool {
				for {
					n, err := c.TryRead(in[w:])
					if err != nil {
						return !errors.Is(err, socket.ErrWouldBlock)
					}
					full := n == len(in)-w
					if w += n; bytes.HasSuffix(in[:w], []byte("\r\n\r\n")) {
						w = 0
						if _, err := c.Write(answer); err != nil {
							return true
						}
					}
					if !full {
						return false
					}
				}
			})
		}()
	}
}
