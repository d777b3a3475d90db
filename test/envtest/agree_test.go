//go:build envtest

package envtest

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	files "github.com/gatehouse-dev/gatehouse/controllers/manifests" // manifests are those of config here
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// agree compares what is said of an object in a file with what the API server, err, says of it:
// both refuse it or neither, for the same fields, and where it breaks a rule, with the same words.
func agree(t *testing.T, text []byte, err error) {
	t.Helper()
	broken, rules := faults(t, text)
	switch {
	case err == nil:
		for _, p := range slices.Concat(broken, rules) {
			t.Errorf("the API server takes it, but in a file it is refused: %v", p)
		}
		return
	case len(broken)+len(rules) == 0:
		t.Errorf("in a file it is taken, but the API server says %v", err)
	case !apierrors.IsInvalid(err):
		return // a field that there is not: the server looks no further
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatal(err)
	}
	causes := status.Status().Details.Causes
	for _, c := range causes {
		named := slices.ContainsFunc(broken, func(p files.Problem) bool { return place(c) == p.Field })
		if !named && !slices.ContainsFunc(rules, func(p files.Problem) bool { return says(c, p) }) && !strings.Contains(c.Message, "some validation rules were not checked") {
			t.Errorf("nothing in a file is like %s: %s", place(c), c.Message)
		}
	}
	for _, p := range broken {
		if !slices.ContainsFunc(causes, func(c metav1.StatusCause) bool { return place(c) == p.Field }) {
			t.Errorf("in a file it is refused: %v\nbut the API server says %v", p, err)
		}
	}
	for _, p := range rules {
		if !slices.ContainsFunc(causes, func(c metav1.StatusCause) bool { return says(c, p) }) {
			t.Errorf("in a file it breaks a rule: %v\nbut the API server says %v", p, err)
		}
	}
}

// faults are what is wrong with an object in a file: its schema, and the rules that it breaks.
func faults(t *testing.T, text []byte) (broken, rules []files.Problem) {
	t.Helper()
	reader, err := files.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	_, all := reader.Parse("case.yaml", text)
	reader.Unruled = true
	_, broken = reader.Parse("case.yaml", text)
	for _, p := range all {
		if !slices.Contains(broken, p) {
			rules = append(rules, p)
		}
	}
	return broken, rules
}

// entry is how a rule's place names an entry of a map.
var entry = regexp.MustCompile(`\[([^]0-9][^]]*)\]`)

// place is the field of a cause, as files name it.
func place(c metav1.StatusCause) string { return entry.ReplaceAllString(c.Field, ".$1") }

// says tells whether a cause is that a rule is broken, in its words; a short value stands before them.
func says(c metav1.StatusCause, p files.Problem) bool {
	return place(c) == p.Field && strings.HasPrefix(c.Message, "Invalid value: ") && strings.HasSuffix(c.Message, ": "+p.Message)
}
