// Package decision remembers why the gateway answered as it did: one Record for
// each answer of its own, found again by the decision id the answer carries.
//
// The proxy adds a Record when a request it answered itself is finished, and
// samples of what policies in shadow mode would have refused; the admin server
// hands them out. It calls proxy/exchange for what a request was.
//
// A Record is redacted: it holds no header field, no query and no content.
package decision

import (
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// Record is what is remembered of one request.
type Record struct {
	ID       string          `json:"id,omitempty"` // 16 hexadecimal digits
	Time     time.Time       `json:"time"`
	Request  Request         `json:"request"`
	Listener string          `json:"listener,omitempty"` // namespace/gateway/listener
	Route    string          `json:"route,omitempty"`    // "HTTPRoute shop/orders"
	Rule     string          `json:"rule,omitempty"`
	Backend  string          `json:"backend,omitempty"`
	Status   int             `json:"status,omitempty"`
	Code     string          `json:"code,omitempty"`   // stable cause of the answer; empty for a backend's
	Policy   string          `json:"policy,omitempty"` // the object that refused, or would have
	Denied   string          `json:"denied,omitempty"` // cause with which it refused
	Shadow   string          `json:"shadow,omitempty"` // cause with which a policy in shadow mode would have
	Caller   Caller          `json:"caller"`
	Steps    []exchange.Step `json:"steps,omitempty"` // how policies judged it
}

// Request is the part of a request that holds no credential.
type Request struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
	Client string `json:"client,omitempty"` // address
}

// Caller is who called, as far as it was found out.
type Caller struct {
	Method  string `json:"method,omitempty"`
	Subject string `json:"subject,omitempty"`
}

// Of copies what is remembered of x.
func Of(x *exchange.Exchange) *Record {
	q, t := &x.Request, &x.Trace
	r := &Record{
		Time:     x.Start,
		Request:  Request{Method: strings.Clone(q.Method), Host: strings.Clone(q.Host), Path: bounded(q.Path)},
		Listener: t.Listener, Route: t.Route, Rule: t.Rule, Backend: t.Backend,
		Status: x.Response.Status, Code: x.Response.Code,
		Policy: t.Policy, Denied: t.Denied, Shadow: t.Shadow,
		Caller: Caller{Method: x.Principal.Method, Subject: bounded(x.Principal.Subject)},
		Steps:  t.Steps,
	}
	if t.ID != 0 {
		r.ID = string(exchange.AppendID(nil, t.ID))
	}
	if q.ClientIP.IsValid() {
		r.Request.Client = q.ClientIP.String()
	}
	return r
}

// maxText is how much is kept of what a caller chose.
const maxText = 1024

// bounded is a copy of the beginning of s, which ends with a whole character.
func bounded(s string) string {
	if len(s) > maxText {
		end := maxText
		for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		return s[:end] + "…"
	}
	return strings.Clone(s)
}

// How many records a Log keeps. A new one takes the place of the oldest.
const (
	kept       = 1024 // of answers
	keptShadow = 256  // of requests that only a shadow policy would have refused, so that these push out no answers
)

// samplesPerSecond is how many shadow refusals are looked at closely.
const samplesPerSecond = 8

// Log is the last records. Add and Find may be called at any time, and take no
// lock.
type Log struct {
	answers, shadows ring
	second           atomic.Int64 // of the sampling
	sampled          atomic.Int64 // in that second
}

// NewLog returns a Log that remembers nothing.
func NewLog() *Log {
	return &Log{answers: ring{slots: make([]atomic.Pointer[Record], kept)}, shadows: ring{slots: make([]atomic.Pointer[Record], keptShadow)}}
}

type ring struct {
	slots []atomic.Pointer[Record]
	next  atomic.Uint64
}

func (r *ring) add(rec *Record) {
	r.slots[(r.next.Add(1)-1)%uint64(len(r.slots))].Store(rec)
}

// each visits the records from the newest to the oldest, until f says no.
func (r *ring) each(f func(*Record) bool) bool {
	next := r.next.Load()
	for i := range uint64(len(r.slots)) {
		if i >= next {
			return true
		}
		if rec := r.slots[(next-1-i)%uint64(len(r.slots))].Load(); rec != nil && !f(rec) {
			return false
		}
	}
	return true
}

// Add remembers x, which is finished and has a decision id.
func (l *Log) Add(x *exchange.Exchange) {
	if x.Response.Code == "" {
		l.shadows.add(Of(x))
		return
	}
	l.answers.add(Of(x))
}

// Sample reports whether one more shadow refusal of this second is to be looked
// at closely.
func (l *Log) Sample(now time.Time) bool {
	if s := now.Unix(); l.second.Swap(s) != s {
		l.sampled.Store(0)
	}
	return l.sampled.Add(1) <= samplesPerSecond
}

// Find returns the record with an id, or nil.
func (l *Log) Find(id string) (found *Record) {
	look := func(r *Record) bool {
		if r.ID == id {
			found = r
		}
		return found == nil
	}
	if l.answers.each(look) {
		l.shadows.each(look)
	}
	return found
}

// Last returns at most n records, the newest of the answers first, then those of
// shadow refusals.
func (l *Log) Last(n int) []*Record {
	out := []*Record{}
	take := func(r *Record) bool {
		if len(out) < n {
			out = append(out, r)
		}
		return len(out) < n
	}
	if l.answers.each(take) {
		l.shadows.each(take)
	}
	return out
}
