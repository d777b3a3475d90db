package auth

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// Answer is what a service that was asked says beside yes or no: what to change
// in a request that passes, or what to answer to one that does not. Requests
// share it, so it does not change.
type Answer struct {
	Edits []Edit   // of an accepted request, in order
	Names []string // lower case, as long as Edits: the edit's
	Drop  []string // lower case: what the caller sent under these names is removed first

	Query   []QueryEdit // of an accepted request
	Granted *Fields     // of the backend's answer to it; nil for none

	Status  int             // of the answer to a refused request; 0: the policy's
	Header  exchange.Header // added to it
	Type    string          // of Content
	Content []byte          // nil: a problem document
	Detail  string          // of the problem document; empty: the policy's
	Failure error           // the content that had to be looked at did not come: what that deserves is the answer
}

// QueryEdit gives a query parameter one value in place of those it has, or none.
type QueryEdit struct {
	Name    string
	Escaped string // "name=value"; "" to remove it
}

// Fields changes fields of an answer.
type Fields struct {
	Edits []Edit
	Names []string // lower case, as long as Edits
}

// FilterResponse implements exchange.Marker.
func (f *Fields) FilterResponse(x *exchange.Exchange) { apply(&x.Response.Header, f.Edits, f.Names) }

// Edit changes one field.
type Edit struct {
	Value string
	How   How
}

// How an Edit goes about it.
type How uint8

// The ways to edit.
const (
	Set        How = iota // in place of what is there
	Add                   // behind what is there
	AddAbsent             // if there is none
	SetPresent            // if there is one
	Remove
)

// Apply makes the changes to x's request, and has those to its answer made. Nothing the caller sent, as a field or
// as a trailer field, passes for what is set here.
func (a *Answer) Apply(x *exchange.Exchange) {
	x.Request.Header.DropLike(a.Drop)
	apply(&x.Request.Header, a.Edits, a.Names)
	for _, q := range a.Query {
		x.DropQuery(q.Name)
		switch {
		case q.Escaped == "":
		case x.Request.RawQuery == "":
			x.Request.RawQuery = q.Escaped
		default:
			x.Request.RawQuery += "&" + q.Escaped
		}
	}
	if a.Granted != nil {
		x.Granted = append(x.Granted, a.Granted)
	}
	for _, names := range [...][]string{a.Names, a.Drop} {
		switch {
		case among(x.Request.Reserved, names):
		case len(x.Request.Reserved) == 0:
			x.Request.Reserved = names
		default:
			x.Request.Reserved = slices.Concat(x.Request.Reserved, names)
		}
	}
}

// among reports whether all has each of names.
func among(all, names []string) bool {
	for _, name := range names {
		if !slices.Contains(all, name) {
			return false
		}
	}
	return true
}

func apply(h *exchange.Header, edits []Edit, names []string) {
	for i := range edits {
		e, name := &edits[i], names[i]
		_, there := h.Get(name)
		switch {
		case e.How == AddAbsent && there, e.How == SetPresent && !there:
			continue
		case e.How != Add:
			h.DropLike(names[i : i+1])
		}
		if e.How != Remove {
			h.Add(name, e.Value)
		}
	}
}

// Refuse sets up the answer to x: with status and detail where a says nothing.
func (a *Answer) Refuse(x *exchange.Exchange, status int, code, detail string) {
	if a.Failure != nil {
		x.Fail(a.Failure)
		return
	}
	if a.Status != 0 {
		status = a.Status
	}
	if a.Detail != "" {
		detail = a.Detail
	}
	if a.Content != nil {
		x.ReplyBody(status, code, a.Type, a.Content)
	} else {
		x.Reply(status, code, detail)
	}
	x.Response.Header = append(x.Response.Header, a.Header...)
}
