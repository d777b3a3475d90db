package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// parseConditions reads "Type=Status@generation/time".
func parseConditions(t *testing.T, text string) (out []metav1.Condition) {
	t.Helper()
	for _, word := range strings.Fields(text) {
		var generation, seconds int64
		head, tail, _ := strings.Cut(word, "@")
		if _, err := fmt.Sscanf(tail, "%d/%d", &generation, &seconds); err != nil {
			t.Fatalf("%s: %v", word, err)
		}
		kind, status, _ := strings.Cut(head, "=")
		c := metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), ObservedGeneration: generation}
		if seconds > 0 {
			c.LastTransitionTime = metav1.NewTime(time.Unix(seconds, 0))
		}
		out = append(out, c)
	}
	return out
}

func writeConditions(list []metav1.Condition) string {
	words := make([]string, 0, len(list))
	for _, c := range list {
		words = append(words, fmt.Sprintf("%s=%s@%d/%d", c.Type, c.Status, c.ObservedGeneration, c.LastTransitionTime.Unix()))
	}
	return strings.Join(words, " ")
}

func TestMergeConditions(t *testing.T) {
	m := merger{controller, metav1.NewTime(time.Unix(9, 0))}
	f := func(name, have, want, result string) {
		t.Helper()
		if got := writeConditions(m.conditions(parseConditions(t, have), parseConditions(t, want))); got != result {
			t.Errorf("%s: got %q, want %q", name, got, result)
		}
	}
	f("new", "", "Accepted=True@2/0", "Accepted=True@2/9")
	f("same", "Accepted=True@2/5", "Accepted=True@2/0", "Accepted=True@2/5")
	f("same, newer generation", "Accepted=True@1/5", "Accepted=True@2/0", "Accepted=True@2/5")
	f("changed", "Accepted=True@2/5", "Accepted=False@2/0", "Accepted=False@2/9")
	f("stored is newer", "Accepted=True@3/5", "Accepted=False@2/0", "Accepted=True@3/5")
	f("no longer wanted", "Accepted=True@2/5 PartiallyInvalid=True@2/5 gatehouse.dev/AuthPolicyAffected=True@2/5", "Accepted=True@2/0", "Accepted=True@2/5")
	f("another's stay in place", "a.io/X=True@1/1 Accepted=True@2/5 b.io/Y=True@1/1", "Accepted=True@2/0 Programmed=True@2/0", "a.io/X=True@1/1 Accepted=True@2/5 b.io/Y=True@1/1 Programmed=True@2/9")
	full := "a/1=True@1/1 a/2=True@1/1 a/3=True@1/1 a/4=True@1/1 a/5=True@1/1 a/6=True@1/1 a/7=True@1/1"
	f("no room", full, "Accepted=True@2/0 gatehouse.dev/AuthPolicyAffected=True@2/0", full+" Accepted=True@2/9")
}

func TestMergeParents(t *testing.T) {
	m := merger{controller, metav1.NewTime(time.Unix(9, 0))}
	// An entry is "controller:parent"; "me" is ours.
	read := func(text string) (out []gatewayv1.RouteParentStatus) {
		for _, word := range strings.Fields(text) {
			by, name, _ := strings.Cut(word, ":")
			if by == "me" {
				by = controller
			}
			out = append(out, gatewayv1.RouteParentStatus{
				ControllerName: gatewayv1.GatewayController(by), ParentRef: gatewayv1.ParentReference{Name: gatewayv1.ObjectName(name)},
			})
		}
		return out
	}
	f := func(name, have, want, result string) {
		t.Helper()
		var got []string
		for _, p := range m.parents(read(have), read(want)) {
			got = append(got, strings.Replace(string(p.ControllerName), controller, "me", 1)+":"+string(p.ParentRef.Name))
		}
		if strings.Join(got, " ") != result {
			t.Errorf("%s: got %v, want %s", name, got, result)
		}
	}
	f("first", "", "me:a me:b", "me:a me:b")
	f("others stay", "x:a me:a y:b", "me:a", "x:a me:a y:b")
	f("others' parent is not ours", "x:a", "me:a", "x:a me:a")
	f("stale", "x:a me:a me:b", "me:b", "x:a me:b")
	f("none left", "me:a x:b", "", "x:b")
	f("order is kept", "me:b me:a", "me:a me:b", "me:b me:a")
	f("twice", "me:a me:a", "me:a me:a", "me:a")
	f("full", strings.Repeat("x:a ", 32), "me:a", strings.TrimSpace(strings.Repeat("x:a ", 32)))
}

// A text that the API server would refuse is cut, between two characters.
func TestLongTextsAreCut(t *testing.T) {
	m := merger{controller, metav1.NewTime(time.Unix(9, 0))}
	c := cond("Accepted", "False", "Invalid")
	c.Message = strings.Repeat("ä", maxMessage)
	want := []metav1.Condition{c}
	for _, have := range [][]metav1.Condition{nil, {cond("Accepted", "True", "Accepted")}} {
		got := m.conditions(have, want)[0].Message
		if len(got) > maxMessage || len(got) < maxMessage-8 || !strings.HasSuffix(got, "ä ...") {
			t.Errorf("a message of %d bytes that ends with %q", len(got), got[len(got)-8:])
		}
	}
	if want[0].Message != c.Message {
		t.Error("what is desired was changed")
	}
	if got := cut("short", maxNote); got != "short" {
		t.Errorf("got %q", got)
	}
}
