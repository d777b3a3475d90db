package protocols

import (
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/feature"
)

// h2specCases is how many cases h2spec has, those that not every server must pass included.
const h2specCases = 146

// suites is a report of h2spec's, as far as it is read here.
type suites struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		Cases   []struct {
			Class   string `xml:"classname,attr"`
			Failure *struct {
				Text string `xml:",innerxml"`
			} `xml:"failure"`
			Error *struct {
				Text string `xml:",innerxml"`
			} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// TestH2spec asks what HTTP/2 and HPACK ask of a server (RFC 9113, RFC 7541). In the clear one
// case is HTTP/1.1's: a connection there that does not begin with HTTP/2's preface is of
// HTTP/1.1, and gets its 400.
func TestH2spec(t *testing.T) {
	h2spec := build(t, "github.com/summerwind/h2spec/cmd/h2spec")
	w := feature.Start(t, feature.Base+feature.Gateway("edge", "{name: http, protocol: HTTP, port: 80}",
		"{name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: server}]}}")+
		feature.NewAuthority(t).Secret("server", "127.0.0.1")+feature.Route("all", "{backendRefs: [{name: api, port: 80}]}"))
	for listener, c := range map[string]struct {
		flags  []string
		except string
	}{
		"https": {flags: []string{"--tls", "--insecure"}},
		"http":  {except: "http2/3.5: Sends invalid connection preface"},
	} {
		t.Run(listener, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), "report.xml")
			args := append(c.flags, "--host", "127.0.0.1", "--port", port(t, w, "shop/edge/"+listener), "--strict", "--timeout", "10", "--junit-report", at)
			out, err := exec.CommandContext(t.Context(), h2spec, args...).CombinedOutput()
			if failed := new(exec.ExitError); err != nil && !errors.As(err, &failed) {
				t.Fatal(err)
			}
			b, err := os.ReadFile(at)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			report(t, b, c.except)
		})
	}
}

// report fails for each case of a report that did, but for one, which must.
func report(t *testing.T, text []byte, except string) {
	t.Helper()
	var all suites
	if err := xml.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	cases, excepted := 0, except == ""
	for _, s := range all.Suites {
		for _, c := range s.Cases {
			cases++
			name := s.Package + ": " + c.Class
			why := ""
			switch {
			case c.Failure != nil:
				why = c.Failure.Text
			case c.Error != nil:
				why = c.Error.Text
			case c.Skipped != nil:
				why = "skipped"
			default:
				continue
			}
			if name == except {
				excepted = true
				continue
			}
			t.Errorf("%s: %s", name, strings.TrimSpace(why))
		}
	}
	if cases != h2specCases {
		t.Errorf("%d cases, want %d", cases, h2specCases)
	}
	if !excepted {
		t.Errorf("%s passed: say so above", except)
	}
}
