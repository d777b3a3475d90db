// Package controllers is the control half: objects fall down one staircase and
// come out as a table.
//
//	watch      informers on the API server     \  either feeds
//	manifests  files on disk (standalone mode) /  Pipeline.Upsert and Delete
//	store      last known objects
//	graph      what the objects mean together: attachment, references, policies, conditions
//	compile    the graph as a plain table
//	endpoints  EndpointSlices as addresses, beside the table
//	status     the graph as status patches
//
// cmd/gatehouse builds a Pipeline and joins it to the proxy with func values;
// nothing in here knows the proxy beyond proxy/table.
package controllers
