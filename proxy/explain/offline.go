package explain

import (
	"errors"
	"net/http"
)

// offline is a transport that reaches nothing.
type offline struct{}

// RoundTrip implements http.RoundTripper.
func (offline) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("key sets are not fetched offline")
}
