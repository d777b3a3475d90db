// Package conformance runs the official conformance suite of the Gateway API, as it is and with its own timeouts, against the gatehouse
// that it installs from config/default. `make conformance` calls it, in the network of a cluster; it calls kubectl and the suite.
//
// Which tests run is decided by the GatewayClass's status.supportedFeatures. The report of a whole run is report.yaml; a run that is not
// told to write it (-report-output) must come to the same results as it says.
package conformance
