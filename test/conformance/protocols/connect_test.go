package protocols

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// suite is where the suite's programs come from.
const suite = "connectrpc.com/conformance/cmd/"

// leastCases is how many cases of suite.yaml there are at least: 4,598 when this was written.
const leastCases = 4500

// TestConnect has the suite's runner start this program again for each kind of
// server it needs: then it is that server, behind a gateway.
func TestConnect(t *testing.T) {
	if reference := os.Getenv(asServer); reference != "" {
		serve(t, reference)
		return
	}
	runner, reference := build(t, suite+"connectconformance"), build(t, suite+"referenceserver")
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), runner, "--conf", "suite.yaml", "--mode", "server",
		"--", me, "-test.run=^TestConnect$")
	run.Env = append(os.Environ(), asServer+"="+reference)
	out, err := run.CombinedOutput()
	out = bytes.TrimSpace(out)
	t.Logf("%s", bytes.ReplaceAll(out[max(0, len(out)-10_000):], []byte("PASS\n"), nil)) // that of each server
	if err != nil {
		t.Errorf("the suite: %v", err)
	}
	m := regexp.MustCompile(`(?m)^(\d+) passed, (\d+) failed$`).FindSubmatch(out)
	if m == nil {
		t.Fatal("the suite does not say what it found")
	}
	if passed, err := strconv.Atoi(string(m[1])); err != nil || passed < leastCases || string(m[2]) != "0" {
		t.Errorf("%s cases passed and %s failed; want all, and %d or more", m[1], m[2], leastCases)
	}
}
