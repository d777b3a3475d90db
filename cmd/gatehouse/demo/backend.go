package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// maxBody is how much of a request's content an answer repeats, in bytes.
const maxBody = 64 << 10

// pod is one endpoint: a server with an address of its own.
type pod struct {
	name    string
	address netip.AddrPort
	http    *http.Server
	done    chan struct{}
}

type podHandler func(pod string, w http.ResponseWriter, r *http.Request)

func startPod(name, address string, handler podHandler) (*pod, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("its demo backend cannot listen: %w", err)
	}
	at, err := netip.ParseAddrPort(ln.Addr().String())
	if err != nil {
		return nil, err
	}
	p := &pod{name: name, address: at, done: make(chan struct{})}
	p.http = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(name, w, r) }),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		defer close(p.done)
		_ = p.http.Serve(ln) // it returns when stop has been called
	}()
	return p, nil
}

// idlePod is a pod that does not listen. A port that any would do for is the first.
func idlePod(name, address string, _ podHandler) (*pod, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), 1)
	}
	return &pod{name: name, address: at}, nil
}

// stop closes the pod's connections too; requests under way are cut off.
func (p *pod) stop() {
	if p.http != nil {
		_ = p.http.Close()
		<-p.done
	}
}

// answer is what an echo backend was asked.
type answer struct {
	Service string            `json:"service"`
	Pod     string            `json:"pod"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Host    string            `json:"host"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body,omitempty"`
}

// echo answers with what was asked, after a delay.
func echo(service string, delay time.Duration) podHandler {
	return func(pod string, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return // the client has gone
		}
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				return
			}
		}
		a := answer{service, pod, r.Method, r.RequestURI, r.Host, map[string]string{}, string(body)}
		for name, values := range r.Header {
			a.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
		writeJSON(w, "application/json", a)
	}
}

func writeJSON(w http.ResponseWriter, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the client has gone
}
