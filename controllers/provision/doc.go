// Package provision keeps, for every Gateway, the Service at which callers reach
// it and the EndpointSlices that lead from there to the ready gatehouse pods.
//
// Each port of each Gateway is bound under a number of its own in the pods, its
// target port, so that Gateways of one process never see each other's requests.
// The Service records the number: every replica reads it from there (graph), and
// so does whoever leads next.
//
// cmd starts the Writer on the leader, hands it every Graph and tells it when
// pods or objects of ours have changed; it calls the API server. What there
// should be is worked out by Make, from values to values.
package provision
