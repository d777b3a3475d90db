// Package watch is the way in from the API server: which kinds are watched, the
// scheme they are read with, and the permissions that takes.
//
// cmd/gatehouse calls Start; it calls the sink it is given, which is the
// pipeline's Upsert, Delete and Synced.
package watch
