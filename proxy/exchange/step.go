package exchange

import "math/rand/v2"

// Step is one part of how a request was judged, for the operator: callers never
// see one, and it holds nothing of a credential.
type Step struct {
	Part    string `json:"part"`             // one of the Part constants
	Name    string `json:"name,omitempty"`   // of the method, rule or header; the requirement's expression
	Policy  string `json:"policy,omitempty"` // the object that supplied it: "AuthPolicy shop/orders"
	Outcome string `json:"outcome"`          // one of the Step constants
	Code    string `json:"code,omitempty"`   // the stable cause of an outcome that is no pass
	When    string `json:"when,omitempty"`   // the condition that failed, as the policy has it; not for logs, which others read
	Cause   string `json:"cause,omitempty"`  // why it failed: nothing that came with the request is in it
	Needs   string `json:"needs,omitempty"`  // what would have passed
	Shadow  bool   `json:"shadow,omitempty"` // it was only watched
}

// The parts of a judgement, in the order in which they are looked at.
const (
	PartPolicy      = "policy"      // do its conditions hold for the request?
	PartPublic      = "public"      // is nobody to be asked who they are?
	PartMethod      = "method"      // does the way of authentication accept the caller?
	PartRequirement = "requirement" // do enough methods accept?
	PartMetadata    = "metadata"    // what is to be known of the caller first?
	PartRule        = "rule"        // may the caller do this?
	PartHeader      = "header"      // can what the backend is told be computed?
	PartCredential  = "credential"  // can the gateway show the backend what that asks of it?
	PartForm        = "form"        // has the request the form that is asked for?
)

// What a part came to.
const (
	StepApplies     = "applies"
	StepSkipped     = "does not apply"
	StepNotTried    = "not tried"
	StepAbsent      = "no credential"
	StepAccepted    = "accepted"
	StepRejected    = "rejected"
	StepUnavailable = "unavailable"
	StepMet         = "met"
	StepNotMet      = "not met"
	StepAllowed     = "allowed"
	StepDenied      = "denied"
	StepFailed      = "failed"
	StepSet         = "set"
	StepFetched     = "fetched"
	StepMissing     = "missing" // and the request goes on without
	StepExpired     = "expired"
	StepBroken      = "broken"
)

// Decide returns x's decision id, and gives it one if it has none.
func (x *Exchange) Decide() uint64 {
	for x.Trace.ID == 0 {
		x.Trace.ID = rand.Uint64()
	}
	return x.Trace.ID
}
