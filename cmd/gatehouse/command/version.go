package command

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
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
	return fmt.Sprintf("gatehouse %s (commit %s, %s, %s, Gateway API %s)\n", b.Version, cmp.Or(b.Commit, "unknown"), b.Go, b.Platform, b.GatewayAPI)
}

func newVersion() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and what it was built from",
		Example: "  gatehouse version\n  gatehouse version --output json",
		Args:    usage.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			b := thisBuild()
			if output != "text" {
				return usage.Print(c.OutOrStdout(), output, b)
			}
			_, err := fmt.Fprint(c.OutOrStdout(), b)
			return err
		},
	}
	usage.Output(c, &output)
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
