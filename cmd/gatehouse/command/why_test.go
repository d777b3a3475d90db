package command

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/decision"
)

func TestSubjectIsPlain(t *testing.T) {
	var out strings.Builder
	if err := printDecision(&out, &decision.Record{Caller: decision.Caller{Method: "staff", Subject: "ann\x1b[2J\u009b1m\nforged"}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\u009b") || strings.Contains(got, "\nforged") {
		t.Errorf("%q", got)
	}
}
