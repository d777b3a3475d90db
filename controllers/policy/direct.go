package policy

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Oldest is which of the direct policies of a namespace that target one thing is
// in force there: they merge with nothing, and the one that was there first stands
// (GEP-713, "Conflict resolution"). found is false where none targets it.
func Oldest[P metav1.Object](list []P, targets func(P) bool) (first P, found bool) {
	for _, p := range list {
		if targets(p) && (!found || before(p, first)) {
			first, found = p, true
		}
	}
	return first, found
}

func before(a, b metav1.Object) bool {
	x, y := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if !x.Equal(&y) {
		return x.Before(&y)
	}
	return a.GetName() < b.GetName()
}
