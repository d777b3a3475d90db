package forward

import "github.com/gatehouse-dev/gatehouse/proxy/exchange"

// Between HTTP/2 on both sides the two goroutines of a stream, pump and answer, move
// what comes first and what does not go through at once. What comes while they wait
// goes from the reader of one connection to the output of the other (exchange.Relay).

// relayRequest has content go past pump from the next time it waits, and reports
// whether it will: not before the request is one that cannot be sent again.
func (t *transfer) relayRequest(body exchange.Relayed) bool {
	r := t.call.Outlet()
	if r.To == nil {
		return false
	}
	body.Relay(r)
	return true
}

// relayAnswer has content go past answer from the next time it waits.
func (t *transfer) relayAnswer() {
	if w, ok := t.x.Writer.(exchange.Relayer); ok {
		t.call.Relay(w.Relay())
	}
}
