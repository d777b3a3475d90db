package validate

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// formed is what becomes of content under a schema.
func formed(t *testing.T, document, content string) string {
	t.Helper()
	p := build(t, one(table.Check{Schema: &table.Schema{Document: []byte(document)}}))
	return outcome(p, request("POST /\nContent-Type: application/json\n\n"+content))
}

const tooMuch = "422 body_invalid: it takes too much to compare the content with the schema"

func TestStepsAreBounded(t *testing.T) {
	nested := func(levels int) string {
		return strings.Repeat(`{"a":`, levels) + "null" + strings.Repeat("}", levels)
	}
	twice := func(keyword string) string {
		return `{"properties":{"a":{"` + keyword + `":[{"$ref":"#"},{"$ref":"#"},{"type":"null"}]}},"required":["z"]}`
	}
	var chain strings.Builder
	for i := range 60 {
		fmt.Fprintf(&chain, `"d%d":{"anyOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%[2]d"}]},`, i, i+1)
	}
	for name, c := range map[string][2]string{
		"anyOf":      {twice("anyOf"), nested(60)},
		"oneOf":      {twice("oneOf"), nested(60)},
		"allOf":      {twice("allOf"), nested(60)},
		"not":        {`{"not":{"$ref":"#/$defs/n"},"$defs":{"n":{"type":"object","properties":{"a":{"anyOf":[{"$ref":"#/$defs/n"},{"$ref":"#/$defs/n"}]}}}}}`, nested(60)},
		"a chain":    {`{"$ref":"#/$defs/d0","$defs":{` + chain.String() + `"d60":{"type":"null"}}}`, "{}"},
		"anchors":    {`{"$dynamicAnchor":"n","properties":{"a":{"anyOf":[{"$dynamicRef":"#n"},{"$dynamicRef":"#n"}]}},"required":["z"]}`, nested(60)},
		"overridden": {`{"$ref":"tree","$defs":{"tree":{"$id":"tree","$dynamicAnchor":"n","properties":{"a":{"anyOf":[{"$dynamicRef":"#n"},{"$dynamicRef":"#n"}]}},"required":["z"]},"n":{"$dynamicAnchor":"n","$ref":"tree"}}}`, nested(60)},
		"draft-07":   {`{"$ref":"o","$defs":{"o":{"$id":"o","$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}},"required":["z"]}}}`, nested(60)},
		"items":      {`{"items":{"anyOf":[{"$ref":"#"},{"$ref":"#"},{"type":"string"}]},"type":"array","contains":{"type":"null"}}`, strings.Repeat("[", 60) + strings.Repeat("]", 60)},
	} {
		if got := formed(t, c[0], c[1]); got != tooMuch {
			t.Errorf("%s: %.200s", name, got)
		}
	}
}

func TestWhatRefersToItselfIsCompared(t *testing.T) {
	const tree = `{"$ref":"#/$defs/node","$defs":{"node":{"oneOf":[
		{"type":"object","required":["and"],"additionalProperties":false,"properties":{"and":{"type":"array","items":{"$ref":"#/$defs/node"}}}},
		{"type":"object","required":["not"],"additionalProperties":false,"properties":{"not":{"$ref":"#/$defs/node"}}},
		{"type":"string","format":"date"}]}}}`
	nested := func(levels int, leaf string) string {
		return strings.Repeat(`{"and":[{"not":`, levels) + leaf + strings.Repeat("}]}", levels)
	}
	if got := formed(t, tree, nested(20, `"2026-11-27"`)); !strings.HasPrefix(got, "200") {
		t.Errorf("a good tree: %.200s", got)
	}
	if got := formed(t, tree, nested(3, `"no date"`)); !strings.Contains(got, "/and/0/not/and/0/not/and/0/not") {
		t.Errorf("a bad leaf: %.400s", got)
	}
	wide := `{"and":[` + strings.Repeat(`{"not":"2026-11-27"},`, 20000) + `"2026-11-27"]}`
	if got := formed(t, tree, wide); !strings.HasPrefix(got, "200") {
		t.Errorf("a wide tree: %.200s", got)
	}
}

func TestRequestsDoNotCountEachOthersSteps(t *testing.T) {
	p := build(t, one(table.Check{Schema: &table.Schema{Document: []byte(`{"$defs":{"s":{"type":"string"}},"items":{"$ref":"#/$defs/s"}}`)}}))
	content := "POST /\nContent-Type: application/json\n\n[" + strings.Repeat(`"a",`, 2000) + `"a"]`
	var group sync.WaitGroup
	for range 2 * maxCopies {
		group.Go(func() {
			for range 20 {
				if got := outcome(p, request(content)); !strings.HasPrefix(got, "200") {
					t.Errorf("%.200s", got)
				}
			}
		})
	}
	group.Wait()
}
