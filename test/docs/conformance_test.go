package docs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// results is what test/conformance/report.yaml says; its form is the Gateway API's ConformanceReport.
type results struct {
	Implementation struct{ Version string }
	Date           string
	API            string `json:"gatewayAPIVersion"`
	Channel        string `json:"gatewayAPIChannel"`
	Profiles       []profile
}

type profile struct {
	Name           string
	Core, Extended struct {
		Statistics                             struct{ Passed, Failed, Skipped int }
		SkippedTests, FailedTests              []string
		SupportedFeatures, UnsupportedFeatures []string
	}
}

func TestConformancePageIsTheReport(t *testing.T) {
	var r results
	if err := yaml.Unmarshal([]byte(page(t, "test/conformance/report.yaml")), &r); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(r.Profiles, func(a, b profile) int { return strings.Compare(a.Name, b.Name) })
	if len(r.Profiles) != 5 {
		t.Errorf("the report has %d profiles", len(r.Profiles))
	}
	var b, lists strings.Builder
	var claimed, unclaimed []string
	day, _, _ := strings.Cut(r.Date, "T")
	fmt.Fprintf(&b, "\nGateway API %s, %s channel; Gatehouse %s; %s.\n\n", r.API, r.Channel, r.Implementation.Version, day)
	b.WriteString("| Profile | Core: passed | failed | skipped | Extended: passed | failed | skipped | Features claimed | not claimed |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range r.Profiles {
		core, extended := p.Core.Statistics, p.Extended.Statistics
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d |\n", p.Name, core.Passed, core.Failed, core.Skipped,
			extended.Passed, extended.Failed, extended.Skipped, len(p.Extended.SupportedFeatures), len(p.Extended.UnsupportedFeatures))
		for _, name := range append(p.Core.FailedTests, p.Extended.FailedTests...) {
			fmt.Fprintf(&lists, "\n%s fails %s.\n", p.Name, name)
		}
		claimed = append(claimed, p.Extended.SupportedFeatures...)
		unclaimed = append(unclaimed, p.Extended.UnsupportedFeatures...)
	}
	for _, l := range []struct {
		title string
		names []string
	}{{"Claimed", claimed}, {"Not claimed", unclaimed}} {
		slices.Sort(l.names)
		if names := slices.Compact(l.names); len(names) > 0 {
			fmt.Fprintf(&lists, "\n%s: %s.\n", l.title, strings.Join(names, ", "))
		}
	}
	want := b.String() + lists.String() + "\n"
	if got := generated(t, "docs/conformance.md", want); got != want {
		t.Errorf("docs/conformance.md is not what test/conformance/report.yaml says; run go test ./test/docs -update\n got %s\nwant %s", got, want)
	}
}
