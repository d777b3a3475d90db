package status

import (
	"os"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestTheReportIsOfTheseFeatures holds what a GatewayClass claims against the conformance suite's report that is checked in: each extended
// feature that is claimed has been run, and no other has.
func TestTheReportIsOfTheseFeatures(t *testing.T) {
	text, err := os.ReadFile("../../test/conformance/report.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Profiles []struct {
			Extended struct{ SupportedFeatures, UnsupportedFeatures []string }
		}
	}
	if err := yaml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	known, ran := map[string]bool{}, map[string]bool{}
	for _, p := range report.Profiles {
		for _, name := range p.Extended.UnsupportedFeatures {
			known[name] = true
		}
		for _, name := range p.Extended.SupportedFeatures {
			known[name], ran[name] = true, true
		}
	}
	var claimed []string
	for _, f := range supportedFeatures() {
		claimed = append(claimed, string(f.Name))
		if known[string(f.Name)] && !ran[string(f.Name)] { // what the report does not know is core to a profile, or in none
			t.Errorf("%s is claimed and was not run: run `make conformance`, and commit what it writes", f.Name)
		}
	}
	for name := range ran {
		if !slices.Contains(claimed, name) {
			t.Errorf("%s was run and is not claimed: run `make conformance`, and commit what it writes", name)
		}
	}
	if len(known) < 40 {
		t.Errorf("the report knows %d features", len(known))
	}
}
