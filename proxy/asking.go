package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gatehouse-dev/gatehouse/proxy/explain"
)

// The bounds of what operators ask.
const (
	maxDecisions = 1024    // listed at once
	maxQuery     = 1 << 20 // bytes of a question
)

// debugDecisions lists the last decisions, the newest first: 20, or n.
func (s *Server) debugDecisions(w http.ResponseWriter, r *http.Request) {
	n := 20
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxDecisions {
			http.Error(w, fmt.Sprintf("n is %q; use 1 to %d", text, maxDecisions), http.StatusBadRequest)
			return
		}
	}
	s.show(w, s.decisions.Last(n))
}

// debugDecision shows one decision.
func (s *Server) debugDecision(w http.ResponseWriter, r *http.Request) {
	record := s.decisions.Find(r.PathValue("id"))
	if record == nil {
		http.Error(w, "this gateway does not remember that decision: another replica made it, or newer ones have taken its place", http.StatusNotFound)
		return
	}
	s.show(w, record)
}

// debugExplain answers an explain.Query.
func (s *Server) debugExplain(w http.ResponseWriter, r *http.Request) {
	var q explain.Query
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuery)).Decode(&q); err != nil {
		http.Error(w, "the question is not JSON of the right form: "+err.Error(), http.StatusBadRequest)
		return
	}
	st := s.state.Load()
	answers, err := explain.Run(st.router, st.table, q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	s.show(w, answers)
}

func (s *Server) show(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.V(1).Info("answer not shown", "error", err.Error())
	}
}
