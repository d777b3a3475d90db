package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

// measureAllocs runs the tests that hold the request path to its allocations.
func measureAllocs(ctx context.Context, b *bench, r *report.Report) error {
	progress("allocs: go test -run Alloc ./proxy/...")
	c := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-run", "Alloc", "./proxy/...")
	c.Dir = b.module
	out, err := c.Output()
	tests, failed := testResults(out)
	r.Allocs = tests
	if len(tests) == 0 {
		return fmt.Errorf("allocs: go test ran none: %w", err)
	}
	if len(failed) > 0 || err != nil {
		return fmt.Errorf("allocs: go test: %w: %s", err, strings.Join(failed, ", "))
	}
	return nil
}

// testResults reads what go test -json writes: the tests that ran, and those
// of them, or packages, that failed.
func testResults(out []byte) (tests []report.Test, failed []string) {
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var e struct{ Action, Package, Test string }
		if d.Decode(&e) != nil {
			return tests, failed
		}
		_, pkg, _ := strings.Cut(e.Package, "/proxy/")
		if e.Action == "fail" {
			failed = append(failed, strings.TrimSpace("proxy/"+pkg+" "+e.Test))
		}
		if e.Test != "" && (e.Action == "pass" || e.Action == "fail") {
			tests = append(tests, report.Test{Package: "proxy/" + pkg, Name: e.Test, Passed: e.Action == "pass"})
		}
	}
}
