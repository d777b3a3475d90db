// Package e2e holds the tests that need a whole cluster: nodes, pods, real kubectl and real Helm. It installs Gatehouse as its users do,
// breaks what can break, and counts the requests that were lost meanwhile: none. `make e2e` runs it; its files carry the build tag e2e.
//
// The cluster is one of hack/cluster's, with two nodes, or the one that KUBECONFIG names. On the latter nothing below its API can be
// reached: tests that kill a process of a node are skipped there.
package e2e
