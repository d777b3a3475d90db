package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin is the operator's own small server: metrics, health, the table, pprof.
// It shares nothing with the listeners but the process.
type admin struct {
	ln   net.Listener
	http *http.Server
}

func newAdmin(address string, h http.Handler) (*admin, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin address: %w", err)
	}
	return &admin{ln, &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a CPU profile takes as long as it is asked to
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// serve returns when close has been called, or the listener fails.
func (a *admin) serve() error {
	if err := a.http.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}

func (a *admin) close(ctx context.Context) {
	if a.http.Shutdown(ctx) != nil {
		_ = a.http.Close()
	}
	_ = a.ln.Close()
}

// adminIndex is what a browser shows at /: what there is.
const adminIndex = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Gatehouse</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}dd{margin:0 0 .5rem}</style>
<h1>Gatehouse</h1><dl>
<dt><a href="metrics">/metrics</a><dd>metrics, for Prometheus
<dt><a href="healthz">/healthz</a><dd>200 while the process runs
<dt><a href="readyz">/readyz</a><dd>200 while it takes requests, or why it does not; <a href="readyz?verbose">?verbose</a> names the listeners that cannot serve
<dt><a href="jwks">/jwks</a><dd>the keys that backends verify the gateway's tokens by
<dt><a href="debug/table">/debug/table</a><dd>the table in force; <a href="debug/table?format=json">?format=json</a> for programs
<dt><a href="debug/decisions?n=20">/debug/decisions?n=20</a><dd>the last answers of the gateway's own, and why; /debug/decisions/ID is one
<dt>POST /debug/explain<dd>what would become of a request: <code>gatehouse explain</code>
<dt><a href="debug/pprof/">/debug/pprof/</a><dd>profiles of the process
</dl>
`

// index shows a person what there is, and what cannot serve.
func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, adminIndex) // the client went away
	for _, line := range s.failing() {
		_, _ = fmt.Fprintf(w, "<p>%s\n", html.EscapeString(line))
	}
}

// readyz says whether the server is ready, and verbose also which listeners cannot serve.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	health(w, s.Ready())
	if r.URL.Query().Has("verbose") {
		for _, line := range s.failing() {
			_, _ = fmt.Fprintln(w, line) // the client went away
		}
	}
}

// Admin answers / with what there is: /metrics, /healthz, /readyz, /jwks, /debug/table, /debug/decisions,
// /debug/explain and /debug/pprof/. It is served on Options.Admin.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, nil) })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /jwks", s.jwks)
	mux.HandleFunc("GET /debug/table", s.debugTable)
	mux.HandleFunc("GET /debug/decisions", s.debugDecisions)
	mux.HandleFunc("GET /debug/decisions/{id}", s.debugDecision)
	mux.HandleFunc("POST /debug/explain", s.debugExplain)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func health(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// jwks hands out the keys by which backends verify the gateway's tokens. Each is
// there for as long as it is the next to sign before it does.
func (s *Server) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(s.owners.Guard.SigningKeys()) // the client went away
}

// debugTable shows the table that serves, as text or with format=json. Secrets
// have no form in either.
func (s *Server) debugTable(w http.ResponseWriter, r *http.Request) {
	st := s.state.Load()
	switch format := r.URL.Query().Get("format"); format {
	case "", "text":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, st.table.Text())
	case "json":
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(st.table); err != nil {
			s.log.V(1).Info("table not shown", "error", err.Error())
		}
	default:
		http.Error(w, fmt.Sprintf("format %q is not known; use text or json", format), http.StatusBadRequest)
	}
}
