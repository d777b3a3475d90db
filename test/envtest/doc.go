// Package envtest holds the tests that need a real API server: that the CRDs are accepted and refuse what they should, and that the
// controllers reconcile. `make test-envtest` runs it; its files carry the build tag envtest, so that a plain `go test ./...` needs no
// API server.
//
// TestMain starts one etcd and one kube-apiserver for the whole package, with the Gateway API's experimental CRDs and our own
// installed. A test calls Start for its connection and Namespace for a place of its own.
package envtest
