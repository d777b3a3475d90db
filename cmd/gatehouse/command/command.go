// Package command is the gatehouse command line: flags and subcommands. It
// builds both halves of the gateway and joins them with func values; it is the
// only package of the product that knows them both.
package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/migration"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
)

// New returns the root command. Results go to out, everything else to errs.
func New(out, errs io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "API gateway for Kubernetes: Gateway API routes, authentication and validation in one binary",
		Long: `Gatehouse routes, checks and forwards HTTP requests as Gateway API objects and its own
AuthPolicy and ValidationPolicy say.

Every flag can be set by an environment variable: --access-log-sample is
GATEHOUSE_ACCESS_LOG_SAMPLE. The flag wins.`,
		SilenceUsage:      true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return fromEnvironment(c.Flags(), os.LookupEnv) },
	}
	b := thisBuild()
	root.Version = b.Version
	root.SetVersionTemplate(b.String())
	results := &sink{Writer: out}
	root.PersistentPostRunE = func(*cobra.Command, []string) error { return results.err }
	root.SetOut(results)
	root.SetErr(errs)
	root.AddCommand(newRun(), newStandalone(), newTable(), newExplain(), newWhy(), newExposure(), newKey(), migration.New(connect, systemNamespace), newVersion())
	usage.Finish(root)
	return root
}

// sink remembers that a result could not be written, as to a full disk: a program that
// reads it must not take what is there for all of it.
type sink struct {
	io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("writing the result: %w", err)
	}
	return n, err
}

// connect finds an API server.
func connect(kubeconfig string) (*rest.Config, error) {
	return (&running{kubeconfig: kubeconfig}).config()
}

// ExitCode is what the program ends with: 3 when a migration left something
// behind, 1 for any other error, 0 for none.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, migration.ErrIncomplete):
		return 3
	}
	return 1
}

// EnvironmentVariable is the name of the variable that sets a flag.
func EnvironmentVariable(flag string) string {
	return "GATEHOUSE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets the flags that were not given on the command line.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := EnvironmentVariable(f.Name)
		value, ok := lookup(name)
		if !ok || f.Changed || err != nil {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = fmt.Errorf("environment variable %s: %w", name, e)
		}
	})
	return err
}
