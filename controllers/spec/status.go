package spec

// How many entries the schemas of statuses have room for.
const (
	MaxParents   = 32 // of a RouteStatus
	MaxAncestors = 16 // of a PolicyStatus
)
