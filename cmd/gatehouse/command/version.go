package command

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -X .../command.version=v0.1.0.
var version = "dev"

// build is what a person who reports a bug should quote.
type build struct {
	Version    string `json:"version"`
	Commit     string `json:"commit,omitempty"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	GatewayAPI string `json:"gatewayAPI"`
}

// String is b on one line.
func (b build) String() string {
	return fmt.Sprintf("gatehouse %s (commit %s, %s, %s, Gateway API %s)\n", b.Version, or(b.Commit, "unknown"), b.Go, b.Platform, b.GatewayAPI)
}

func newVersion() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and what it was built from",
		Example: "  gatehouse version\n  gatehouse version --output json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			b := thisBuild()
			if output == "json" {
				return json.NewEncoder(c.OutOrStdout()).Encode(b)
			}
			_, err := fmt.Fprint(c.OutOrStdout(), b)
			return err
		},
	}
	addOutput(c, &output)
	return c
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	for _, d := range info.Deps {
		if d.Path == "sigs.k8s.io/gateway-api" {
			b.GatewayAPI = d.Version
		}
	}
	return b
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// outputFlag is the form in which a result is printed.
type outputFlag struct{ value *string }

func (f outputFlag) String() string { return *f.value }
func (f outputFlag) Type() string   { return "text|json" }

func (f outputFlag) Set(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("%q is not an output form; use text or json", s)
	}
	*f.value = s
	return nil
}

// addOutput gives c an --output flag.
func addOutput(c *cobra.Command, value *string) {
	*value = "text"
	c.Flags().VarP(outputFlag{value}, "output", "o", "form of the result")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}
