// Package filter is the contract of route filters and the chain that runs them.
//
// proxy/router builds a Chain from a rule's table.Filters; proxy/forward runs
// it. Each filter is a leaf folder below this one: its configuration is a table
// type, New checks it, one or two methods do the work.
package filter

import "github.com/gatehouse-dev/gatehouse/proxy/exchange"

// Request is a filter that sees a request before it is forwarded.
type Request interface {
	// FilterRequest may change x.Request. It returns false after it has set up
	// an answer (x.Reply): the request then goes no further.
	FilterRequest(x *exchange.Exchange) bool
}

// Response is a filter that sees an answer before it is written.
type Response interface {
	// FilterResponse may change the head of x.Response.
	FilterResponse(x *exchange.Exchange)
}

// Chain is a rule's filters in the user's order.
type Chain struct {
	requests  []Request
	responses []Response // reversed: the last filter sees the answer first
}

// Append adds a filter, which implements Request, Response or both.
func (c *Chain) Append(f any) {
	if r, ok := f.(Request); ok {
		c.requests = append(c.requests, r)
	}
	if r, ok := f.(Response); ok {
		c.responses = append([]Response{r}, c.responses...)
	}
}

// Request runs the request side. It returns false when a filter has answered.
func (c *Chain) Request(x *exchange.Exchange) bool {
	return len(c.requests) == 0 || c.run(x)
}

func (c *Chain) run(x *exchange.Exchange) bool {
	for _, f := range c.requests {
		if !f.FilterRequest(x) {
			return false
		}
	}
	return true
}

// Responds reports whether there is a response side.
func (c *Chain) Responds() bool { return len(c.responses) > 0 }

// Response runs the response side.
func (c *Chain) Response(x *exchange.Exchange) {
	for _, f := range c.responses {
		f.FilterResponse(x)
	}
}
