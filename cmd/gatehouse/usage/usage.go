// Package usage is what the commands of the command line have in common: how they
// take arguments, say that something was mistyped or takes its time, print results and complete values.
//
// cmd/gatehouse/command calls it for each command.
package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// outputs are the forms in which a result is printed.
var outputs = []string{"text", "json", "yaml"}

// output is the flag that chooses one.
type output struct{ value *string }

func (o output) String() string { return *o.value }
func (o output) Type() string   { return strings.Join(outputs, "|") }

func (o output) Set(s string) error {
	for _, form := range outputs {
		if s == form {
			*o.value = s
			return nil
		}
	}
	return fmt.Errorf("%q is not an output form; use text, json or yaml", s)
}

// Output gives c an --output flag.
func Output(c *cobra.Command, value *string) {
	*value = outputs[0]
	c.Flags().VarP(output{value}, "output", "o", "form of the result")
	Choices(c, "output", outputs...)
}

// Print writes v for a program to read, in a form other than text.
func Print(w io.Writer, form string, v any) error {
	if form == "yaml" {
		text, err := yaml.Marshal(v)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// choices are the values of flags that commands share, or that shells complete alike.
var choices = map[string][]string{
	"log-level":  {"debug", "info", "warn", "error"},
	"log-format": {"text", "json"},
	"gateways":   {"service", "host"},
	"report":     {"text", "json"},
}

// Choices has shells complete the values of a flag.
func Choices(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// Between takes from low to high arguments, of these names; high below 0 is any number.
func Between(low, high int, names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return fmt.Errorf("missing: %s; write: %s", strings.Join(names[len(args):low], ", "), c.UseLine())
		case high == 0 && len(args) > 0 && c.Flags().Lookup("filename") != nil:
			return fmt.Errorf("%q is one argument too many; files and folders are named by --filename", args[0])
		case high >= 0 && len(args) > high:
			return fmt.Errorf("%q is one argument too many; write: %s", args[high], c.UseLine())
		}
		return nil
	}
}

// Exactly takes one argument for each name.
func Exactly(names ...string) cobra.PositionalArgs { return Between(len(names), len(names), names...) }

// Finish has all commands below root say what was probably meant by a name they do not have.
func Finish(root *cobra.Command) {
	root.SetFlagErrorFunc(unknownFlag)
	root.InitDefaultCompletionCmd() // cobra's own commands too
	for _, c := range root.Commands() {
		for flag, values := range choices {
			if c.Flags().Lookup(flag) != nil {
				Choices(c, flag, values...)
			}
		}
		if c.HasSubCommands() && !c.Runnable() {
			c.Args, c.RunE, c.DisableFlagsInUseLine = knownCommand, func(c *cobra.Command, _ []string) error { return c.Help() }, true
		}
	}
}

// knownCommand refuses the name of a subcommand that there is not; cobra does so of the root only.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	return fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), meant("", c.SuggestionsFor(args[0])))
}

// unknownFlag adds to an error of a flag which one was probably meant.
func unknownFlag(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	names := &cobra.Command{SuggestionsMinimumDistance: 2} // cobra finds what is near among commands
	c.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	near := meant("--", names.SuggestionsFor(unknown.GetSpecifiedName()))
	if near == "" {
		near = fmt.Sprintf("; %s --help lists those there are", c.CommandPath())
	}
	return fmt.Errorf("%w%s", err, near)
}

// meant asks whether one of names was.
func meant(prefix string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; did you mean " + prefix + strings.Join(names, " or "+prefix) + "?"
}
