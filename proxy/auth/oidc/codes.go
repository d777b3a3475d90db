package oidc

import (
	"sync/atomic"
	"time"
)

// The stable causes of the method's own answers; docs/answers.md. Those up to
// CodeSignedOut are no failures.
const (
	CodeLogin       = "oidc_login"                // sent to the provider
	CodeLoggedIn    = "oidc_logged_in"            // sent where the login began
	CodeSignedOut   = "oidc_signed_out"           //
	CodeMethod      = "oidc_method_not_allowed"   // of a path the method answers itself
	CodeState       = "oidc_state_invalid"        // the callback's state is not one we gave out
	CodeCookie      = "oidc_cookie_missing"       // the browser keeps no cookies, or another one began the login
	CodeResponse    = "oidc_response_invalid"     // the callback lacks a code, repeats a parameter, or names another issuer
	CodeDenied      = "oidc_denied"               // the provider says the user, or it, said no
	CodeCode        = "oidc_code_refused"         // the provider does not take the code: it was used, or has run out
	CodeToken       = "oidc_token_invalid"        // the ID token does not pass
	CodeClient      = "oidc_client_refused"       // the provider does not take our client id and secret
	CodeProvider    = "oidc_provider_unavailable" // down, slow, not found yet, or it answers rubbish
	CodeStore       = "session_store_unavailable" // Redis does not answer
	CodeLogoutToken = "logout_token_invalid"      //
	CodeCrossSite   = "oidc_cross_site"           // another site tried to log the user out
)

// retryAfter is when to come back while a provider or store fails.
const retryAfter = 5 * time.Second

// Event is something worth counting.
type Event int

// The events.
const (
	LoginStarted Event = iota
	LoggedIn
	LoginFailed
	Refreshed
	RefreshRefused // the provider ended the session
	RefreshFailed  // the provider could not be asked: the session goes on
	LoggedOut
	LoggedOutByProvider
	StoreFailed
	events
)

// String is the event's name in metrics.
func (e Event) String() string {
	return [events]string{
		"login_started", "logged_in", "login_failed", "refreshed", "refresh_refused", "refresh_failed", "logged_out",
		"logged_out_by_provider", "store_failed",
	}[e]
}

type counts [events]atomic.Uint64
