package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Admin answers /metrics, /healthz, /readyz, /jwks, /debug/table, /debug/decisions,
// /debug/explain and /debug/pprof/. It is served on Options.Admin.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { health(w, s.Ready()) })
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
